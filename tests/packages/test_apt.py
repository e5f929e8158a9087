from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbloat.model.package import Package
from mlbloat.packages import apt, dpkg, take_inventory
from tests.support.trees import Hard, Link, tree_of

INFO = "/var/lib/dpkg/info"
Files = Mapping[str, bytes | str | None]


def stanza(name: str, **fields: str) -> str:
    """A paragraph of `status`; underscores in field names stand for hyphens."""
    given = {
        "Package": name,
        "Status": "install ok installed",
        "Priority": "optional",
        "Maintainer": "Debian <debian@example.org>",
        "Architecture": "amd64",
        "Version": "1.0-1",
        **{field.replace("_", "-"): value for field, value in fields.items()},
        "Description": f"the {name}\n It has a long description.\n .\n In two paragraphs.",
    }
    return "".join(f"{field}: {value}\n" for field, value in given.items() if value) + "\n"


def listed(*paths: str) -> str:
    """An `info/*.list`: dpkg lists every directory too."""
    return "/.\n" + "".join(f"{path}\n" for path in paths)


def packages(files: Files) -> dict[str, Package]:
    return {package.name: package for package in apt.find(tree_of(files)).packages}


def problems(files: Files) -> tuple[str, ...]:
    return tuple(map(str, apt.find(tree_of(files)).problems))


def test_a_package_owns_its_listed_regular_files_and_its_control_files() -> None:
    found = packages(
        {
            "/var/lib/dpkg/status": stanza("bash", Version="5.2-1"),
            f"{INFO}/bash.list": listed(
                "/bin", "/bin/bash", "/bin/rbash", "/usr/share/doc/bash/copyright", "/bin/gone"
            ),
            f"{INFO}/bash.md5sums": "0 bin/bash\n",
            f"{INFO}/bash.postinst": "#!/bin/sh\n",
            "/bin/bash": b"\x7fELF",
            "/bin/rbash": Link("bash"),
            "/usr/share/doc/bash/copyright": "GPL",
        }
    )["bash"]
    assert found.version == "5.2-1"
    assert found.location == "/"
    control = {f"{INFO}/bash.list", f"{INFO}/bash.md5sums", f"{INFO}/bash.postinst"}
    assert set(found.files) == {"/bin/bash", "/usr/share/doc/bash/copyright", *control}
    assert found.metadata == {"/usr/share/doc/bash/copyright", *control}
    assert found.database == ("/var/lib/dpkg/status", f"{INFO}/bash.list", f"{INFO}/bash.md5sums")


def test_a_database_behind_a_link_is_read_as_one_in_its_place() -> None:
    admin = "/usr/lib/sysimage/dpkg"
    files = {
        "/var/lib/dpkg": Link("../../usr/lib/sysimage/dpkg"),
        f"{admin}/status": stanza("a") + stanza("b"),
        f"{admin}/info/a.list": listed("/bin/a"),
        f"{admin}/info/b.list": listed("/bin/b"),
        "/bin/a": "#!/bin/sh\n",
        "/bin/b": "#!/bin/sh\n",
    }
    found = packages(files)
    assert found["a"].files == ("/bin/a", f"{admin}/info/a.list")
    assert found["a"].metadata == {f"{admin}/info/a.list"}
    assert found["a"].database == (f"{admin}/status", f"{admin}/info/a.list")
    assert problems(files) == ()
    (lost,) = apt.find(tree_of({**files, f"{admin}/info/c.list": ""})).problems
    assert lost.path == f"{admin}/status"


def test_a_database_below_a_link_to_itself_is_a_problem() -> None:
    found = apt.find(tree_of({"/var/lib/dpkg": Link("dpkg")}))
    assert found.packages == ()
    assert "/var/lib/dpkg/status" in {problem.path for problem in found.problems}


def test_manual_pages_lintian_overrides_and_licences_describe_and_programs_do_not() -> None:
    paths = (
        "/usr/share/man/man1/a.1.gz",
        "/usr/share/lintian/overrides/a",
        "/usr/share/info/a.info",
        "/usr/share/a/COPYING",
    )
    found = packages(
        {
            "/var/lib/dpkg/status": stanza("a"),
            f"{INFO}/a.list": listed(*paths, "/usr/share/a/data", "/usr/bin/licence.py"),
            **dict.fromkeys(paths, "text"),
            "/usr/share/a/data": "data",
            "/usr/bin/licence.py": "pass",
        }
    )["a"]
    assert found.metadata == {*paths, f"{INFO}/a.list"}


@pytest.mark.parametrize(
    ("state", "installed"),
    [
        ("install ok installed", True),
        ("install ok triggers-pending", True),
        ("install reinstreq half-configured", True),
        ("deinstall ok config-files", False),
        ("purge ok not-installed", False),
    ],
)
def test_a_package_counts_while_its_files_are_unpacked(state: str, installed: bool) -> None:
    files = {
        "/var/lib/dpkg/status": stanza("a", Status=state) + stanza("b"),
        f"{INFO}/a.list": "",
        f"{INFO}/b.list": "",
    }
    assert set(packages(files)) == ({"a", "b"} if installed else {"b"})


def test_files_listed_under_lib_are_found_on_a_merged_usr() -> None:
    found = packages(
        {
            "/lib": Link("usr/lib"),
            "/usr/lib/x86_64-linux-gnu/libc.so.6": b"\x7fELF",
            "/usr/lib/ld.so": Link("/opt/not-owned"),
            "/opt/not-owned": b"\x7fELF",
            "/var/lib/dpkg/status": stanza("libc6", Multi_Arch="same"),
            f"{INFO}/libc6:amd64.list": listed("/lib/x86_64-linux-gnu/libc.so.6", "/lib/ld.so"),
        }
    )["libc6"]
    assert set(found.files) == {"/usr/lib/x86_64-linux-gnu/libc.so.6", f"{INFO}/libc6:amd64.list"}


def test_a_diverted_file_belongs_to_the_package_under_its_new_name() -> None:
    found = packages(
        {
            "/var/lib/dpkg/status": stanza("dash") + stanza("other"),
            "/var/lib/dpkg/diversions": "/bin/sh\n/bin/sh.distrib\ndash\n/bin/tool\n/bin/tool.real\n:\n",
            f"{INFO}/dash.list": listed("/bin/sh"),
            f"{INFO}/other.list": listed("/bin/sh", "/bin/tool"),
            "/bin/sh": b"\x7fELF dash",
            "/bin/sh.distrib": b"\x7fELF other",
            "/bin/tool": "#!/bin/sh\nof the administrator",
            "/bin/tool.real": "#!/bin/sh\n",
        }
    )
    assert [path for path in found["dash"].files if path.startswith("/bin")] == ["/bin/sh"]
    assert [path for path in found["other"].files if path.startswith("/bin")] == ["/bin/sh.distrib", "/bin/tool.real"]


def test_diversions_that_are_cut_off_are_a_problem_and_the_packages_remain() -> None:
    files = {
        "/var/lib/dpkg/status": stanza("a"),
        f"{INFO}/a.list": listed("/bin/a"),
        "/bin/a": "#!/bin/sh\n",
        "/var/lib/dpkg/diversions": "/bin/a\n/bin/b\n",
    }
    assert "/bin/a" in packages(files)["a"].files
    assert problems(files) == (
        "cannot read /var/lib/dpkg/diversions: its lines do not come in threes; "
        "diverted files are reported under their first name",
    )


def test_only_foreign_architectures_are_part_of_the_name() -> None:
    found = packages(
        {
            "/var/lib/dpkg/status": stanza("dpkg")
            + stanza("libc6", Multi_Arch="same")
            + stanza("libc6", Architecture="i386", Multi_Arch="same")
            + stanza("tzdata", Architecture="all"),
            f"{INFO}/dpkg.list": "",
            f"{INFO}/libc6:amd64.list": listed("/lib/64"),
            f"{INFO}/libc6:i386.list": listed("/lib/32"),
            f"{INFO}/tzdata.list": "",
            "/lib/64": "64",
            "/lib/32": "32",
        }
    )
    assert set(found) == {"dpkg", "libc6", "libc6:i386", "tzdata"}
    assert "/lib/64" in found["libc6"].files
    assert "/lib/32" in found["libc6:i386"].files


def test_requirements_are_first_installed_alternatives_and_providers() -> None:
    names = ("app", "libc6", "libc6:i386", "mawk", "tool:i386")
    found = packages(
        {
            "/var/lib/dpkg/status": stanza(
                "app",
                Pre_Depends="libc6 (>= 2.14), dpkg (>= 1.15.6~)",
                Depends="missing-one | libc6:any, awk, nowhere, app",
                Recommends="tool",
            )
            + stanza("libc6", Architecture="i386")
            + stanza("libc6")
            + stanza("mawk", Architecture="all", Provides="awk (= 1), nawk", Depends="libc6")
            + stanza("tool", Architecture="i386", Depends="libc6"),
            **{f"{INFO}/{name}.list": "" for name in names},
        }
    )
    assert found["app"].requires == ("apt:libc6@/", "apt:mawk@/")
    assert found["tool:i386"].requires == ("apt:libc6:i386@/",)
    assert found["mawk"].requires == ("apt:libc6@/",)


def test_requested_is_what_apt_did_not_pull_in_by_itself() -> None:
    files = {
        "/var/lib/dpkg/status": stanza("asked") + stanza("pulled") + stanza("data", Architecture="all"),
        **{f"{INFO}/{name}.list": "" for name in ("asked", "pulled", "data")},
    }
    states = "".join(f"Package: {name}\nArchitecture: amd64\nAuto-Installed: {auto}\n\n" for name, auto in
                     (("pulled", 1), ("data", 1), ("asked", 0)))  # fmt: skip
    told = packages({**files, "/var/lib/apt/extended_states": states})
    assert {name: package.requested for name, package in told.items()} == {
        "asked": True,
        "pulled": False,
        "data": False,
    }
    assert {package.requested for package in packages(files).values()} == {None}


def test_distroless_packages_are_read_from_status_d_and_md5sums() -> None:
    status_d = "/var/lib/dpkg/status.d"
    found = packages(
        {
            f"{status_d}/base": stanza("base-files", Status="", Conffiles="\n /etc/issue 0123 obsolete"),
            f"{status_d}/base.md5sums": "0123456789abcdef  usr/bin/with space\n0123  ./etc/os-release\n",
            "/usr/bin/with space": b"\x7fELF",
            "/etc/os-release": "ID=debian",
            "/etc/issue": "Debian",
        }
    )["base-files"]
    payload = {"/usr/bin/with space", "/etc/os-release", "/etc/issue"}
    assert set(found.files) - found.metadata == payload
    assert found.metadata == {f"{status_d}/base", f"{status_d}/base.md5sums"}
    assert found.database == (f"{status_d}/base", f"{status_d}/base.md5sums")
    assert found.requested is None


def test_a_missing_list_is_replaced_by_the_digests_and_without_them_is_a_problem() -> None:
    files = {
        "/var/lib/dpkg/status": stanza("a") + stanza("b"),
        f"{INFO}/a.md5sums": "0123  bin/a\n",
        "/bin/a": "#!/bin/sh\n",
    }
    found = packages(files)
    assert "/bin/a" in found["a"].files
    assert found["b"].files == ()
    assert problems(files) == (
        f"cannot read {INFO}/b.list: it is missing; the files of that package are unowned",
    )  # fmt: skip


def test_a_package_of_nothing_but_links_and_documentation_has_no_payload() -> None:
    found = packages(
        {
            "/var/lib/dpkg/status": stanza("meta", Depends="missing"),
            f"{INFO}/meta.list": listed("/usr/bin/cc", "/usr/share/doc/meta", "/usr/share/doc/meta/copyright"),
            "/usr/bin/cc": Link("gcc-12"),
            "/usr/share/doc/meta/copyright": "GPL",
        }
    )["meta"]
    assert set(found.files) == found.metadata != frozenset()


def test_the_names_of_a_hard_linked_file_are_each_owned_where_listed() -> None:
    found = packages(
        {
            "/usr/bin/perl": b"\x7fELF",
            "/usr/bin/perl5": Hard("/usr/bin/perl"),
            "/var/lib/dpkg/status": stanza("perl"),
            f"{INFO}/perl.list": listed("/usr/bin/perl", "/usr/bin/perl5"),
        }
    )["perl"]
    assert {"/usr/bin/perl", "/usr/bin/perl5"} <= set(found.files)


@pytest.mark.parametrize(
    ("status", "complaint"),
    [
        (b"\x00\x01 nothing of the kind\n", "a stanza names no package"),
        (b"Status: install ok installed\nVersion: 1\n", "a stanza names no package"),
        (b"Package: ../../etc\nVersion: 1\n", "a stanza has no valid package name"),
        (b"Package: bad\nStatus: install ok installed\n", "the stanza of bad has no version"),
    ],
)
def test_broken_stanzas_are_named_and_good_ones_remain(status: bytes, complaint: str) -> None:
    assert complaint in problems({"/var/lib/dpkg/status": status})[0]
    files: Files = {"/var/lib/dpkg/status": status + b"\n" + stanza("good").encode(), f"{INFO}/good.list": ""}
    assert set(packages(files)) == {"good"}


def test_a_status_that_is_a_directory_or_too_large_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems({"/var/lib/dpkg/status": None})[0].startswith(
        "cannot read /var/lib/dpkg/status: it is a directory;"
    )
    monkeypatch.setattr("mlbloat.packages.database.MAX_DATABASE_BYTES", 1 << 20)
    assert "larger than 1 MiB" in problems({"/var/lib/dpkg/status": b" " * ((1 << 20) + 1)})[0]


def test_the_second_stanza_of_a_name_is_a_problem() -> None:
    files = {"/var/lib/dpkg/status": stanza("a", Version="1") + stanza("a", Version="2"), f"{INFO}/a.list": ""}
    assert packages(files)["a"].version == "1"
    assert "a second time" in problems(files)[0]


def test_names_that_are_not_utf8_match_the_tree() -> None:
    name = b"/usr/share/caf\xe9".decode("utf-8", "surrogateescape")
    files: Files = {
        "/var/lib/dpkg/status": stanza("a"),
        f"{INFO}/a.list": b"/usr/share/caf\xe9\n",
        name: "x",
    }
    assert name in packages(files)["a"].files


def test_a_tree_without_dpkg_has_no_packages_and_no_problems() -> None:
    inventory = take_inventory(tree_of({"/bin/app": b"\x7fELF"}))
    assert (inventory.packages, inventory.owners, inventory.problems) == ((), {}, ())


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet="Package: Sts\n|,()-=BEGINP\t.é", max_size=200).map(str.encode))
def test_any_bytes_as_databases_leave_a_good_package_standing(noise: bytes) -> None:
    files: Files = {
        "/var/lib/dpkg/status": noise + b"\n\n" + stanza("good").encode(),
        "/var/lib/dpkg/status.d/noise": noise,
        "/var/lib/dpkg/status.d/noise.md5sums": noise,
        "/var/lib/dpkg/diversions": noise,
        "/var/lib/apt/extended_states": noise,
        f"{INFO}/good.list": listed("/bin/good").encode() + noise,
        f"{INFO}/{noise[:9].hex()}.list": noise,
        "/bin/good": "#!/bin/sh\n",
    }
    assert "/bin/good" in packages(files)["good"].files


_NAMES = st.text("ab3+.-", max_size=8).map("x".__add__)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(_NAMES, min_size=1, max_size=3), max_size=4))
def test_relations_survive_versions_and_spacing(groups: list[list[str]]) -> None:
    field = ",\n ".join(" | ".join(f"{name}:any (>= 1:2.0~rc1)" for name in group) for group in groups)
    assert dpkg.relations(field) == tuple(tuple((name, "any") for name in group) for group in groups)


@pytest.mark.parametrize(("listed_as", "there"), [("/lib/x/a", "/usr/lib/x/a"), ("/usr/sbin/a", "/sbin/a")])
def test_a_file_is_found_at_the_other_name_of_a_merged_usr_when_the_tree_has_no_links(
    listed_as: str, there: str
) -> None:
    found = packages({"/var/lib/dpkg/status": stanza("a"), f"{INFO}/a.list": listed(listed_as), there: "x"})["a"]
    assert there in found.files


def test_a_file_at_its_listed_name_does_not_bring_in_the_one_at_the_other_name() -> None:
    found = packages(
        {"/var/lib/dpkg/status": stanza("a"), f"{INFO}/a.list": listed("/lib/a"), "/lib/a": "x", "/usr/lib/a": "y"}
    )["a"]
    assert "/usr/lib/a" not in found.files


def test_configuration_handed_to_ucf_belongs_to_the_package_that_the_registry_names() -> None:
    found = packages(
        {
            "/var/lib/dpkg/status": stanza("a"),
            f"{INFO}/a.list": "",
            "/var/lib/ucf/registry": "a                         /etc/default/a\nbroken\n",
            "/etc/default/a": "X=1\n",
        }
    )["a"]
    assert "/etc/default/a" in found.files


def test_recommendations_are_installed_packages_that_are_not_required_too() -> None:
    names = ("a", "b", "c")
    found = packages(
        {
            "/var/lib/dpkg/status": stanza("a", Depends="b", Recommends="b, c, gone") + stanza("b") + stanza("c"),
            **{f"{INFO}/{name}.list": "" for name in names},
        }
    )["a"]
    assert (found.requires, found.recommends) == (("apt:b@/",), ("apt:c@/",))


def test_a_status_that_lost_its_end_is_a_problem_and_the_whole_stanzas_remain() -> None:
    whole = stanza("a") + stanza("b") + stanza("removed", Status="deinstall ok config-files")
    cut = whole[: whole.index("Package: b") + 30]
    files: Files = {
        "/var/lib/dpkg/status": cut,
        **{f"{INFO}/{name}.list": listed(f"/bin/{name}") for name in ("a", "b", "c", "removed")},
        "/bin/a": "#!/bin/sh\n",
    }
    assert "/bin/a" in packages(files)["a"].files
    told = problems(files)
    assert told[1] == (
        "cannot read /var/lib/dpkg/status: it is cut off; packages after that point are not reported"
    )  # fmt: skip
    assert "2 packages have file lists but no stanza (c, removed)" in told[2]
    assert problems({**files, "/var/lib/dpkg/status": whole + stanza("c")}) == ()
