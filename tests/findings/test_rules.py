"""Rules about copies, leftovers and whole packages; each on the least that shows it."""

import datetime
import struct
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbloat import findings
from mlbloat.cache import open_store
from mlbloat.errors import UsageError
from mlbloat.model.mark import FileClass, Mark
from mlbloat.model.package import CachedPackage, Inventory, Manager, Package, Problem
from mlbloat.model.report import Finding
from mlbloat.model.workload import Ignore
from tests.findings.test_findings import image_of
from tests.support.trees import Hard, MemoryContents, tree_of

SITE = "/usr/lib/python3.11/site-packages"
MIB = 1 << 20
Files = Mapping[str, bytes | str | None]


def package(manager: Manager, name: str, *files: str, **more: object) -> Package:
    return Package(manager=manager, name=name, version="1", location="/", files=files, **more)  # type: ignore[arg-type]


def found(
    files: Files,
    *packages: Package,
    used: tuple[str, ...] = (),
    reachable: tuple[str, ...] = (),
    problems: tuple[Problem, ...] = (),
    cached: tuple[CachedPackage, ...] = (),
) -> dict[str, Finding]:
    tree = tree_of(files)
    classes = {**dict.fromkeys(used, FileClass.USED), **dict.fromkeys(reachable, FileClass.REACHABLE)}
    marks = tuple(Mark(each.path, None, classes.get(each.path, FileClass.UNUSED), ()) for each in tree.files())
    owners: dict[str, tuple[Package, ...]] = {}
    for each in packages:
        for path in each.files:
            owners[path] = (*owners.get(path, ()), each)
    inventory = Inventory(packages=packages, owners=owners, problems=problems, cached=cached)
    return {each.rule: each for each in findings.find(image_of(), tree, inventory, marks)}


def test_big_files_with_the_same_content_are_duplicates_and_links_and_others_are_not() -> None:
    content = b"a" * MIB
    told = found(
        {
            "/a/one": content,
            "/b/two": content,
            "/b/link": Hard("/a/one"),
            "/c/other": b"b" * MIB,
            "/d/late": b"a" * (MIB - 1) + b"c",
            "/small/1": b"x",
            "/small/2": b"x",
        }
    )["duplicate-files"]
    assert (told.bytes, told.paths) == (MIB, ("/b/two",))
    assert "rdfind -makehardlinks true /b" in told.advice


def test_of_copies_the_one_that_a_run_touched_stays() -> None:
    content = b"a" * MIB
    told = found({"/a": content, "/b": content, "/c": content}, used=("/b", "/c"))["duplicate-files"]
    assert told.paths == ("/a",)


def test_a_library_from_two_managers_is_found_and_two_major_versions_are_not() -> None:
    apt, pip = "/usr/lib/libmath.so.12.1.0", f"{SITE}/lib/libmath.so.12"
    files = {
        apt: b"a" * MIB,
        pip: b"b" * (MIB + 1),
        "/usr/lib/libmath.so.11": b"c" * MIB,
        f"{SITE}/libone.so": b"d" * MIB,
    }
    packages = (package(Manager.APT, "libmath", apt, "/usr/lib/libmath.so.11"), package(Manager.PIP, "math", pip))
    told = found(files, *packages, used=(pip,))["duplicate-libraries"]
    assert (told.bytes, told.paths) == (MIB, (apt,))


def test_a_library_twice_from_one_manager_is_no_duplicate_library() -> None:
    first, second = "/usr/lib/libmath.so.12.1.0", "/opt/lib/libmath.so.12"
    files = {first: b"a" * MIB, second: b"b" * MIB}
    assert "duplicate-libraries" not in found(files, package(Manager.APT, "math", first, second))


def test_libraries_that_wheels_bundle_under_a_name_with_a_digest_are_the_same_library() -> None:
    bundled = f"{SITE}/x.libs/libgomp-a34b3233.so.1.0.0"
    system = "/usr/lib/libgomp.so.1.0.0"
    told = found(
        {system: b"a" * MIB, bundled: b"b" * MIB},
        package(Manager.APT, "gomp", system),
        package(Manager.PIP, "x", bundled),
        used=(bundled,),
    )
    assert told["duplicate-libraries"].paths == (system,)


def test_byte_code_without_a_source_or_beside_another_of_its_module_is_stale() -> None:
    cache = f"{SITE}/__pycache__"
    told = found(
        {
            f"{SITE}/a.py": "",
            f"{cache}/a.cpython-311.pyc": b"1",
            f"{cache}/a.cpython-311.opt-1.pyc": b"22",
            f"{cache}/gone.cpython-311.pyc": b"333",
            f"{SITE}/b.py": "",
            f"{cache}/b.cpython-311.pyc": b"4444",
        },
        used=(f"{cache}/a.cpython-311.pyc",),
    )["stale-bytecode"]
    assert (told.bytes, told.paths) == (
        5,
        (f"{cache}/gone.cpython-311.pyc", f"{cache}/a.cpython-311.opt-1.pyc"),
    )


def test_archives_and_temporary_files_count_where_nothing_owns_or_uses_them() -> None:
    told = found(
        {
            "/opt/data.tar.gz": b"1",
            "/opt/owned.whl": b"22",
            "/opt/used.zip": b"333",
            "/root/.cache/x.whl": b"4444",
            "/tmp/build/a": b"55555",
            "/var/tmp/b": b"666666",
        },
        package(Manager.APT, "wheels", "/opt/owned.whl"),
        used=("/opt/used.zip",),
    )
    assert told["leftover-archives"].paths == ("/opt/data.tar.gz",)
    assert (told["temporary-files"].bytes, told["temporary-files"].paths) == (11, ("/var/tmp/b", "/tmp/build"))


def test_a_history_of_version_control_is_kept_out_by_the_copy() -> None:
    told = found({"/app/.git/objects/ab/c": b"1234", "/app/.gitignore": "x"}, reachable=("/app/.git/objects/ab/c",))
    assert (told["version-control"].bytes, told["version-control"].paths) == (4, ("/app/.git",))
    assert told["version-control"].advice.startswith("COPY --exclude=**/.git ")


@pytest.mark.parametrize(
    ("rule", "path", "line"),
    [
        ("npm-cache", "/root/.npm/_cacache/a", "npm cache clean"),
        ("dnf-cache", "/var/cache/dnf/a", "dnf clean all"),
        ("apk-cache", "/var/cache/apk/APKINDEX.tar.gz", "--no-cache"),
    ],
)
def test_caches_of_other_managers_are_found(rule: str, path: str, line: str) -> None:
    told = found({path: b"x" * 9})[rule]
    assert (told.bytes, line in told.advice) == (9, True)


def test_the_cache_of_othersays_what_is_installed_nowhere() -> None:
    directory = "/var/tmp/pkgs"
    cached = tuple(
        CachedPackage(manager=Manager.CONDA, name=name, version="1", path=f"{directory}/{name}-1-0.conda")
        for name in ("a", "b")
    )
    told = found(
        {each.path: b"xx" for each in cached}, package(Manager.CONDA, "a"), cached=cached
    )["conda-cache"]  # fmt: skip
    assert told.title == "Package cache of conda (2 packages, 1 of them installed nowhere)"
    assert told.paths == (directory,)


def test_a_package_of_conda_unpacked_elsewhere_makes_no_cache_of_what_lies_beside_it() -> None:
    beside = CachedPackage(manager=Manager.CONDA, name="a", version="1", path="/srv/a-1-0")
    told = found({"/srv/a-1-0/lib/a.so": b"xx", "/srv/data": b"yyy"}, cached=(beside,))["conda-cache"]
    assert (told.bytes, told.paths) == (2, ("/srv/a-1-0",))


APT = (
    package(Manager.APT, "app", "/bin/app", requires=("apt:lib@/",), recommends=("apt:extra@/",), requested=True),
    package(Manager.APT, "lib", "/lib/lib", requested=False),
    package(Manager.APT, "extra", "/lib/extra", requested=False),
    package(Manager.APT, "tool", "/bin/tool", requires=("apt:only@/",), requested=True, section="devel"),
    package(Manager.APT, "only", "/lib/only", requested=False),
    package(Manager.APT, "core", "/bin/core", essential=True),
)
APT_FILES = {
    "/bin/app": "1",
    "/lib/lib": "22",
    "/lib/extra": "333",
    "/bin/tool": "4444",
    "/lib/only": "55555",
    "/bin/core": "6",
}


def test_packages_that_nothing_needs_are_named_with_the_command_that_takes_nothing_else() -> None:
    told = found(APT_FILES, *APT, used=("/bin/app",))["unused-packages"]
    assert told.bytes == 3 + 4 + 5
    assert told.paths == ("apt:only@/", "apt:tool@/", "apt:extra@/")
    assert told.title.startswith("3 packages of apt ")
    assert told.advice.endswith("PACKAGES && apt-get purge --yes only tool extra")


def test_a_remedy_does_not_remove_the_tool_that_it_runs() -> None:
    manager = package(Manager.APT, "apt", "/usr/bin/apt-get", requested=True)
    told = found({**APT_FILES, "/usr/bin/apt-get": "7777777"}, *APT, manager, used=("/bin/app",))["unused-packages"]
    assert told.bytes == 3 + 4 + 5 + 7
    assert told.advice.endswith("PACKAGES && apt-get purge --yes only tool extra")
    told = found({"/usr/bin/apt-get": "7"}, manager)["unused-packages"]
    assert told.advice.endswith(" UNUSED")


def test_distributions_are_removed_from_their_own_environment_and_what_another_manager_brought_is_not() -> None:
    conda = "/opt/a;b c"
    packages = (
        Package(manager=Manager.PIP, name="a", version="1", location=SITE, files=(f"{SITE}/a.py",)),
        Package(manager=Manager.PIP, name="b", version="1", location="/x y", files=("/x y/b.py",)),
        Package(manager=Manager.PIP, name="pip", version="1", location=SITE, files=(f"{SITE}/pip/__main__.py",),
                requires=(f"pip:c@{SITE}",)),
        Package(manager=Manager.PIP, name="c", version="1", location=SITE, files=(f"{SITE}/c.py",)),
        Package(manager=Manager.CONDA, name="d", version="1", location=conda, files=(f"{conda}/d.py",)),
        Package(manager=Manager.PIP, name="d", version="1", location=f"{conda}/lib/python3.11/site-packages",
                files=(f"{conda}/d.py",)),
        Package(manager=Manager.CONDA, name="conda", version="1", location=conda, files=(f"{conda}/bin/conda",)),
    )  # fmt: skip
    files: dict[str, bytes | str | None] = {path: "1" for each in packages for path in each.files}
    tree = tree_of({**files, "/usr/bin/python3.11": "#!/bin/sh"})
    marks = tuple(Mark(each.path, None, FileClass.UNUSED, ()) for each in tree.files())
    owners = {path: (each,) for each in reversed(packages) for path in each.files}
    told = findings.find(image_of(), tree, Inventory(packages=packages, owners=owners), marks)
    advice = {each.advice.split()[1]: each.advice for each in told if each.rule == "unused-packages"}
    assert advice["pip"] == (
        "RUN pip install PACKAGES && /usr/bin/python3.11 -m pip uninstall --yes a"
        " && PYTHONPATH='/x y' pip uninstall --yes b"
    )
    assert advice["conda"] == (
        "RUN conda install --yes PACKAGES && conda remove --yes --force-remove --prefix '/opt/a;b c' d"
    )


def test_packages_that_are_only_recommended_are_avoided_by_one_option() -> None:
    told = found(APT_FILES, *APT, used=("/bin/app",))["recommended-packages"]
    assert (told.bytes, told.paths) == (3, ("apt:extra@/",))
    assert "--no-install-recommends" in told.advice


def test_tools_to_build_with_are_purged_in_the_step_that_uses_them() -> None:
    told = found(APT_FILES, *APT, used=("/bin/app",))["build-tools"]
    assert (told.bytes, told.paths) == (4, ("apt:tool@/",))
    assert "install --yes tool && BUILD && apt-get purge --yes --auto-remove tool" in told.advice
    assert "build-tools" not in found(APT_FILES, *APT, used=("/bin/tool",))


def test_a_broken_database_is_a_finding_without_bytes_that_names_the_file() -> None:
    problem = Problem("/var/lib/dpkg/status", "cannot read /var/lib/dpkg/status: it is cut off; the rest is lost")
    told = found({}, problems=(problem,))["broken-database"]
    assert (told.severity, told.bytes, told.paths) == ("error", 0, ("/var/lib/dpkg/status",))
    assert told.title == problem.text


def test_a_database_whose_path_means_something_to_a_builder_is_not_written_into_the_remedy() -> None:
    problem = Problem("/opt/a b;$x/conda-meta/a.json", "cannot read it")
    assert found({}, problems=(problem,))["broken-database"].advice == "COPY --from=INTACT_IMAGE DATABASE DATABASE"


def elf(debug_bytes: int, *, stripped: bool = False) -> bytes:
    """A 64-bit ELF file of nothing but sections: .text, .symtab and .debug_info, and the names of sections."""
    names = b"\0.text\0.symtab\0.debug_info\0.shstrtab\0"
    parts = [(1, 1, 2, b"c" * 100)]
    if not stripped:
        parts += [(7, 2, 0, b"s" * debug_bytes), (15, 1, 0, b"d" * debug_bytes)]
    parts.append((27, 3, 0, names))
    body, table = b"", struct.pack("<IIQQQQIIQQ", *[0] * 10)
    for name, kind, flags, content in parts:
        table += struct.pack("<IIQQQQIIQQ", name, kind, flags, 0, 64 + len(body), len(content), 0, 0, 1, 0)
        body += content
    head = (
        b"\x7fELF\x02\x01\x01" + b"\0" * 9 + struct.pack("<HHI", 3, 62, 1) + struct.pack("<QQQ", 0, 0, 64 + len(body))
    )
    return head + struct.pack("<IHHHHHH", 0, 64, 0, 0, 64, len(parts) + 1, len(parts)) + body + table


def test_symbols_of_kept_files_count_even_where_the_files_are_used() -> None:
    told = found(
        {"/lib/a.so": elf(100_000), "/lib/b.so": elf(0, stripped=True) + b"x" * 200_000, "/lib/gone.so": elf(100_000)},
        used=("/lib/a.so", "/lib/b.so"),
    )["unstripped-symbols"]
    assert (told.bytes, told.paths) == (200_000, ("/lib/a.so",))
    assert told.advice == "RUN INSTALL && strip --strip-unneeded /lib/a.so"


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 64))
def test_a_damaged_elf_file_never_has_more_symbols_than_bytes(noise: bytes, at: int) -> None:
    whole = elf(70_000)
    content = whole[:at] + noise + whole[at + len(noise) :]
    told = found({"/lib/a.so": content}, reachable=("/lib/a.so",)).get("unstripped-symbols")
    assert told is None or told.bytes <= len(content)


TODAY = datetime.date(2026, 5, 1)
CACHE = Finding(rule="pip-cache", severity="warning", title="Cache", bytes=7, paths=("/root/.cache/pip",), advice="x")
LISTS = Finding(rule="apt-lists", severity="warning", title="Lists", bytes=5, paths=("/var/lib/apt/lists",), advice="x")


def test_an_ignored_finding_is_counted_with_its_reason_and_the_others_stay() -> None:
    heard = findings.silence([CACHE, LISTS], [Ignore(rule="pip-cache", reason="a mount", until=TODAY)], TODAY)
    assert heard.findings == (LISTS,)
    (silent,) = heard.silenced
    assert (silent.rule, silent.bytes, silent.reason, silent.until) == ("pip-cache", 7, "a mount", "2026-05-01")
    assert heard.flags == ()


def test_an_entry_ends_after_its_day_and_says_so() -> None:
    over = Ignore(rule="pip-cache", reason="a mount", until=TODAY - datetime.timedelta(days=1))
    heard = findings.silence([CACHE], [over], TODAY)
    assert (heard.findings, heard.silenced) == ((CACHE,), ())
    assert heard.flags == ("ignoring pip-cache ended on 2026-04-30: it is reported again",)


def test_an_entry_with_a_path_holds_where_all_paths_match_and_an_idle_one_is_told() -> None:
    ignore = Ignore(rule="pip-cache", reason="why", path="/home/**")
    heard = findings.silence([CACHE], [ignore], TODAY)
    assert heard.findings == (CACHE,)
    assert heard.flags == ("ignoring pip-cache is for nothing: no finding matches; remove it",)
    assert findings.silence([CACHE], [Ignore(rule="pip-cache", reason="why", path="/root/*")], TODAY).findings == ()


def test_ignoring_a_rule_that_does_not_exist_is_an_error_with_the_names() -> None:
    with pytest.raises(UsageError, match=r"cannot ignore 'pip-cash': rules are pip-cache, uv-cache"):
        findings.check([Ignore(rule="pip-cash", reason="x")])


def test_every_rule_has_a_name_of_its_own_and_a_remedy_that_is_one_instruction() -> None:
    names = [rule.name for rule in findings.RULES]
    assert len(names) == len(set(names))
    for rule in findings.RULES:
        assert rule.remedy.split()[0] in ("RUN", "COPY", "ENV"), rule.name
        assert "\n" not in rule.remedy + rule.finds + rule.example


def test_what_was_learnt_of_files_is_not_read_again(tmp_path: Path) -> None:
    tree = tree_of({"/a": b"a" * MIB, "/b": b"a" * MIB, "/lib/a.so": elf(100_000)})
    marks = tuple(Mark(each.path, None, FileClass.REACHABLE, ()) for each in tree.files())
    nothing = Inventory(packages=(), owners={})
    with open_store(tmp_path, "1") as cache:
        known = replace(tree, layers=("sha256:" + "0" * 64,))
        first = findings.find(image_of(), known, nothing, marks, cache)
        again = findings.find(image_of(), replace(known, contents=MemoryContents({})), nothing, marks, cache)
    assert {each.rule for each in first} == {"duplicate-files", "unstripped-symbols"}
    assert again == first
