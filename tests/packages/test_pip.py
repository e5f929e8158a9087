import csv
import io
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbloat.model.package import Package
from mlbloat.packages import distinfo, pip, take_inventory
from tests.support.trees import Link, tree_of

SITE = "/usr/local/lib/python3.11/site-packages"
Files = dict[str, bytes | str | None]


def metadata(name: str, version: str = "1.0", requires: tuple[str, ...] = ()) -> str:
    needed = "".join(f"Requires-Dist: {line}\n" for line in requires)
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needed}\nName: a description\n\nwith text\n"


def wheel(
    name: str,
    version: str = "1.0",
    *,
    location: str = SITE,
    files: Mapping[str, bytes | str] | None = None,
    requires: tuple[str, ...] = (),
    also: Mapping[str, str] | None = None,
    listed: tuple[str, ...] = (),
) -> Files:
    """What pip leaves of a wheel: its files, and a dist-info with `also` in it; RECORD names `listed` besides."""
    info = f"{name}-{version}.dist-info"
    described = {"METADATA": metadata(name, version, requires), **(also or {})}
    inside = {f"{info}/{each}": text for each, text in described.items()}
    payload = {f"{name}/__init__.py": f"# {name}\n"} if files is None else files
    rows = [f"{path},sha256=0000,{len(text)}" for path, text in {**inside, **payload}.items()]
    rows += [f"{path},," for path in (*listed, f"{info}/RECORD")]
    written = {f"{location}/{path}": text for path, text in {**inside, **payload}.items()}
    return {**written, f"{location}/{info}/RECORD": "\n".join(rows) + "\n"}


def packages(files: Mapping[str, bytes | str | None]) -> dict[str, Package]:
    return {package.key: package for package in take_inventory(tree_of(files)).packages}


def only(files: Mapping[str, bytes | str | None]) -> Package:
    (package,) = pip.find(tree_of(files)).packages
    return package


def names(package: Package) -> list[str]:
    return [key.split(":")[1].split("@")[0] for key in package.requires]


def test_a_wheel_owns_what_its_record_lists_also_outside_of_its_location() -> None:
    files = wheel("Demo_Pkg", "2.1", also={"entry_points.txt": "[x]", "licenses/LICENSE": "MIT"},
                  listed=("../../../bin/demo", "demo/missing.py"))  # fmt: skip
    files["/usr/local/bin/demo"] = "#!/usr/bin/python3\n"
    found = only(files)
    info = f"{SITE}/Demo_Pkg-2.1.dist-info"
    assert (found.name, found.version, found.location) == ("demo-pkg", "2.1", SITE)
    assert found.metadata == {
        f"{info}/{name}" for name in ("METADATA", "RECORD", "entry_points.txt", "licenses/LICENSE")
    }
    assert set(found.files) - found.metadata == {f"{SITE}/Demo_Pkg/__init__.py", "/usr/local/bin/demo"}
    assert found.database == (f"{info}/METADATA", f"{info}/RECORD", f"{info}/entry_points.txt")


def test_licence_files_beside_the_code_are_metadata() -> None:
    found = only(wheel("demo", files={"demo/a.py": "", "demo/LICENSE.txt": "MIT", "demo/license.py": ""}))
    assert f"{SITE}/demo/LICENSE.txt" in found.metadata
    assert f"{SITE}/demo/license.py" not in found.metadata


def test_every_kind_of_record_file_that_a_scanner_reads_is_database() -> None:
    also = dict.fromkeys(("top_level.txt", "direct_url.json", "INSTALLER", "REQUESTED", "WHEEL", "NOTES"), "x")
    database = only(wheel("demo", also={**also, "sboms/demo.cdx.json": "{}"})).database
    assert {path.rpartition("/")[2] for path in database} == {
        "METADATA", "RECORD", "top_level.txt", "direct_url.json", "INSTALLER", "REQUESTED", "WHEEL", "demo.cdx.json",
    }  # fmt: skip


def test_byte_code_belongs_to_its_module_even_when_no_record_lists_it() -> None:
    files = wheel("demo", files={"demo/a.py": "x = 1"})
    compiled = {f"{SITE}/demo/__pycache__/a.cpython-311.pyc", f"{SITE}/demo/__pycache__/a.cpython-311.opt-1.pyc"}
    stray = f"{SITE}/demo/__pycache__/b.cpython-311.pyc"
    (found,) = packages({**files, **dict.fromkeys((*compiled, stray), b"code")}).values()
    assert compiled <= set(found.files)
    assert stray not in found.files


def test_a_target_directory_has_the_commands_that_its_records_place_outside() -> None:
    """`pip install --target` installs into `lib/python` of a prefix, then moves all that is in the prefix."""
    rows = "demo/__init__.py,,\n../../bin/demo-run,,\n../../share/gone.txt,,\n../../bin/other,,\n"
    files = {
        "/app/vendor/demo-1.0.dist-info/METADATA": "Name: demo\nVersion: 1.0\n",
        "/app/vendor/demo-1.0.dist-info/RECORD": rows,
        "/app/vendor/demo/__init__.py": "",
        "/app/vendor/bin/demo-run": "#!/usr/bin/python3\n",
        "/bin/other": "",  # where the RECORD says: it is believed
    }
    (found,) = take_inventory(tree_of(files)).packages
    assert found.files == tuple(sorted(files))


def test_byte_code_of_a_linked_module_belongs_to_the_owner_of_the_target() -> None:
    files = wheel("demo", files={"demo/a.py": "x = 1"})
    files[f"{SITE}/demo/b.py"] = Link("a.py")
    files[f"{SITE}/demo/__pycache__/b.cpython-311.pyc"] = b"code"
    (found,) = packages(files).values()
    assert f"{SITE}/demo/__pycache__/b.cpython-311.pyc" in found.files


def test_installed_files_txt_is_relative_to_the_egg_info() -> None:
    info = f"{SITE}/old-1.0-py3.11.egg-info"
    found = only(
        {
            f"{info}/PKG-INFO": metadata("old"),
            f"{info}/installed-files.txt": "../old/a.py\nPKG-INFO\n",
            f"{SITE}/old/a.py": "",
            f"{SITE}/old/not_listed.py": "",
        }
    )
    assert set(found.files) == {f"{SITE}/old/a.py", f"{info}/PKG-INFO", f"{info}/installed-files.txt"}


def test_without_a_list_top_level_names_decide_less_what_others_list() -> None:
    files: Files = {
        f"{SITE}/shared-1.egg-info/PKG-INFO": metadata("shared", "1"),
        f"{SITE}/shared-1.egg-info/top_level.txt": "shared\n_shared\nshared_module\n../escape\n",
        f"{SITE}/shared/a.py": "",
        f"{SITE}/_shared.cpython-311-x86_64-linux-gnu.so": b"\x7fELF",
        f"{SITE}/shared_module.py": "",
        f"{SITE}/shared_other.py": "",
        f"{SITE}/../escape/a.py": "",
        **wheel("plugin", files={"shared/plugin/b.py": ""}),
    }
    found = {package.name: package for package in pip.find(tree_of(files)).packages}
    assert set(found["shared"].files) - found["shared"].metadata == {
        f"{SITE}/shared/a.py",
        f"{SITE}/_shared.cpython-311-x86_64-linux-gnu.so",
        f"{SITE}/shared_module.py",
    }


def test_a_single_file_egg_info_names_its_package_by_its_own_name() -> None:
    found = only({f"{SITE}/two_words-1.0.egg-info": metadata("two-words"), f"{SITE}/two_words.py": "x = 1"})
    assert found.files == (f"{SITE}/two_words-1.0.egg-info", f"{SITE}/two_words.py")
    assert found.database == (f"{SITE}/two_words-1.0.egg-info",)


def test_requested_follows_the_marker_file_where_the_installer_writes_it() -> None:
    pip_wrote = {"INSTALLER": "pip\n"}
    files = {
        **wheel("asked", also={**pip_wrote, "REQUESTED": ""}),
        **wheel("pulled", also=pip_wrote),
        **wheel("nobody"),
        **wheel("other", also={"INSTALLER": "poetry 1.8\n"}),
    }
    assert {package.name: package.requested for package in packages(files).values()} == {
        "asked": True, "pulled": False, "nobody": None, "other": None,
    }  # fmt: skip


def test_requirements_follow_markers_of_the_images_python_and_platform() -> None:
    old = "/usr/lib/python3.8/site-packages"
    requires = (
        "always",
        'backport >= 1; python_version < "3.9"',
        'winonly; sys_platform == "win32"',
        'arm; platform_machine == "aarch64"',
        "not-installed",
    )
    names_ = ("always", "backport", "winonly", "arm")
    for location, expected in ((SITE, ["always", "arm"]), (old, ["always", "arm", "backport"])):
        files: Files = {"/lib/ld-linux-aarch64.so.1": b"\x7fELF", **wheel("demo", location=location, requires=requires)}
        for name in names_:
            files |= wheel(name, location=location)
        assert names(packages(files)[f"pip:demo@{location}"]) == expected


def test_the_processor_is_x86_64_where_no_loader_tells() -> None:
    files = {**wheel("demo", requires=('x86; platform_machine == "x86_64"',)), **wheel("x86")}
    assert names(packages(files)[f"pip:demo@{SITE}"]) == ["x86"]


def test_debians_shared_location_takes_the_version_of_the_python_beside_it() -> None:
    debian = "/usr/lib/python3/dist-packages"
    files = {
        "/usr/lib/python3.9/os.py": "",
        "/usr/lib/python3.13/os.py": "",
        "/opt/py/lib/python3.14/os.py": "",
        **wheel("demo", location=debian, requires=('new; python_version == "3.13"', 'newer; python_version >= "3.14"')),
        **wheel("new", location=debian),
        **wheel("newer", location=debian),
    }
    assert names(packages(files)[f"pip:demo@{debian}"]) == ["new"]


def test_extras_count_when_an_installed_package_asks_for_them() -> None:
    files = {
        **wheel("app", requires=("server[all]",)),
        **wheel(
            "server", requires=('server[tls]; extra == "all"', 'tls-lib; extra == "tls"', 'docs-lib; extra == "docs"')
        ),
        **wheel("tls-lib"),
        **wheel("docs-lib"),
    }
    found = packages(files)
    assert names(found[f"pip:app@{SITE}"]) == ["server"]
    assert names(found[f"pip:server@{SITE}"]) == ["tls-lib"]


def test_what_extras_name_is_known_whether_or_not_anybody_asks_for_them() -> None:
    tls = 'tls-lib; extra == "tls" and python_version >= "3"'
    old = 'old-lib; extra == "tls" and python_version < "3"'
    needs = (
        tls,
        old,
        "plain; python_version >= '3'",
        'Docs_Lib; extra == "docs" or extra == "all"',
        'gone; extra == "x"',
    )
    files = {**wheel("server", requires=needs)}
    for name in ("tls-lib", "old-lib", "plain", "docs-lib"):
        files |= wheel(name)
    server = packages(files)[f"pip:server@{SITE}"]
    assert names(server) == ["plain"]
    assert server.integrates == (f"pip:docs-lib@{SITE}", f"pip:tls-lib@{SITE}")


@pytest.mark.parametrize(
    "marker",
    [
        'extra == "a"',
        '"a" == extra',
        'extra in "a"',
        "extra in 'a b'",
        "'a' in extra",
        "os_name == 'posix' and 'a' == extra",
    ],
)
def test_an_extra_is_known_however_its_marker_is_written(marker: str) -> None:
    files = {**wheel("server", requires=(f"lib; {marker}",)), **wheel("lib")}
    assert packages(files)[f"pip:server@{SITE}"].integrates == (f"pip:lib@{SITE}",)


def test_an_eggs_requires_txt_has_sections_for_extras_and_markers() -> None:
    info = f"{SITE}/egg-1.egg-info"
    files = {
        f"{info}/PKG-INFO": metadata("egg", "1"),
        f"{info}/requires.txt": 'a>=1\n\n[:python_version < "3"]\nb\n\n[extra]\nc\n\n[:sys_platform == "linux"]\nd\n',
        **wheel("a"), **wheel("b"), **wheel("c"), **wheel("d"),
    }  # fmt: skip
    assert names(packages(files)[f"pip:egg@{SITE}"]) == ["a", "d"]


def test_a_virtual_environment_does_not_see_the_system_and_the_system_not_it() -> None:
    venv = "/opt/venv/lib/python3.11/site-packages"
    files: Files = {
        "/opt/venv/pyvenv.cfg": "home = /usr/bin\ninclude-system-site-packages = false\n",
        **wheel("demo", location=venv, requires=("lib",)),
        **wheel("lib"),
        **wheel("tool", requires=("demo",)),
    }
    assert packages(files)[f"pip:demo@{venv}"].requires == ()
    assert packages(files)[f"pip:tool@{SITE}"].requires == ()
    files["/opt/venv/pyvenv.cfg"] = "include-system-site-packages = true\n"
    assert packages(files)[f"pip:demo@{venv}"].requires == (f"pip:lib@{SITE}",)


def test_one_location_of_a_python_sees_the_other_and_its_own_first() -> None:
    user = "/root/.local/lib/python3.11/site-packages"
    files = {
        **wheel("demo", location=user, requires=("lib", "both")),
        **wheel("lib"),
        **wheel("both"),
        **wheel("both", location=user),
        **wheel("lib", location="/usr/lib/python3.9/site-packages"),
    }
    assert packages(files)[f"pip:demo@{user}"].requires == (f"pip:both@{user}", f"pip:lib@{SITE}")


def test_bundled_copies_source_trees_and_condas_package_cache_are_no_installations() -> None:
    cached = "/opt/conda/pkgs/demo-1.0-py311_0"
    files = {
        **wheel("demo"),
        **wheel("bundled", location=f"{SITE}/demo/_vendor"),
        **wheel("cached", location=f"{cached}/lib/python3.11/site-packages"),
        f"{cached}/info/index.json": "{}",
        "/app/source.egg-info/PKG-INFO": metadata("source"),
        f"{SITE}/~emo-0.9.dist-info/METADATA": metadata("demo", "0.9"),
        **wheel("target", location="/app/vendor"),
    }
    assert set(packages(files)) == {f"pip:demo@{SITE}", "pip:target@/app/vendor"}


def test_wheels_that_lie_unpacked_in_a_cache_are_no_installations_and_environments_with_its_tag_are() -> None:
    tag = "Signature: 8a477f597d28d172789f06886806bc55"
    environment = "/opt/venv/lib/python3.11/site-packages"
    files = {
        "/srv/uv/CACHEDIR.TAG": tag,
        **wheel("demo", location="/srv/uv/archive-v0/0aB1"),
        **wheel("other", location="/root/.cache/pdm/packages/other-1.0"),
        "/opt/venv/CACHEDIR.TAG": tag,
        "/opt/venv/pyvenv.cfg": "home = /usr/bin\n",
        **wheel("demo", location=environment),
        **wheel("target", location="/opt/venv/vendor"),
    }
    assert set(packages(files)) == {f"pip:demo@{environment}", "pip:target@/opt/venv/vendor"}
    assert [(each.name, each.version, each.path) for each in pip.find(tree_of(files)).cached] == [
        ("other", "1.0", "/root/.cache/pdm/packages/other-1.0"),
        ("demo", "1.0", "/srv/uv/archive-v0/0aB1"),
    ]


def test_a_command_that_was_written_anew_is_no_contradiction() -> None:
    files = wheel("demo")
    record = f"{SITE}/demo-1.0.dist-info/RECORD"
    files[record] = "demo/__init__.py,,\n../../../bin/demo,sha256=0000,10\n"
    files["/usr/local/bin/demo"] = "#!/opt/elsewhere/bin/python\n"
    found = pip.find(tree_of(files))
    assert "/usr/local/bin/demo" in found.packages[0].files
    assert found.problems == ()


def test_two_records_of_one_name_are_one_package_and_a_problem() -> None:
    tree = tree_of({**wheel("demo", "1.9"), **wheel("demo", "1.10", files={"demo/new.py": ""})})
    found = pip.find(tree)
    assert [package.version for package in found.packages] == ["1.10"]
    assert {f"{SITE}/demo/__init__.py", f"{SITE}/demo/new.py"} <= set(found.packages[0].files)
    assert "version 1.10 is recorded beside it" in found.problems[0].text
    assert f"{SITE}/demo-1.9.dist-info/METADATA" in found.problems[0].text


def test_a_broken_record_is_named_and_the_top_level_names_serve_instead() -> None:
    files = wheel("demo", also={"top_level.txt": "demo"})
    files[f"{SITE}/demo-1.0.dist-info/RECORD"] = '"' + "x" * 200_000
    found = pip.find(tree_of(files))
    assert f"cannot read {SITE}/demo-1.0.dist-info/RECORD: " in found.problems[0].text
    assert f"{SITE}/demo/__init__.py" in found.packages[0].files


@pytest.mark.parametrize(
    ("text", "why"),
    [(None, "it is missing"), ("Version: 1\n", "it names no package"), ("Name: a b\nVersion: 1\n", "no valid name")],
)
def test_broken_metadata_is_named_and_the_directory_tells_name_and_version(text: str | None, why: str) -> None:
    files = wheel("demo", "2.0")
    path = f"{SITE}/demo-2.0.dist-info/METADATA"
    del files[path]
    if text is not None:
        files[path] = text
    found = pip.find(tree_of(files))
    assert [(package.name, package.version) for package in found.packages] == [("demo", "2.0")]
    assert found.problems[0].text.startswith(f"cannot read {path}: ")
    assert why in found.problems[0].text


def test_a_requirement_that_is_not_valid_is_a_problem_and_the_others_count() -> None:
    found = pip.find(tree_of({**wheel("demo", requires=("lib >=>= 1", "lib")), **wheel("lib")}))
    assert names(found.packages[0]) == ["lib"]
    assert "the requirement 'lib >=>= 1' is not valid" in found.problems[0].text


def test_a_record_cannot_claim_what_is_outside_of_the_root() -> None:
    found = only(
        {**wheel("demo", listed=("../" * 40 + "etc/passwd", "//etc/group")), "/etc/passwd": "", "/etc/group": ""}
    )
    assert {path for path in found.files if path.startswith("/etc")} == {"/etc/passwd", "/etc/group"}


def test_problems_are_one_printable_line() -> None:
    files = {f"{SITE}/\x1b[31m\n-1.dist-info/METADATA": "\x1b[31m"}
    (problem,) = pip.find(tree_of(files)).problems
    assert problem.text.isprintable()


_PATHS = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=30)


@settings(max_examples=80, deadline=None)
@given(st.lists(_PATHS, max_size=6))
def test_record_gives_back_every_name_that_the_csv_writer_can_write(paths: list[str]) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([path, "sha256=0", "1"] for path in paths)
    assert distinfo.record(text.getvalue().encode()) == [(path, 1) for path in paths]


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet='Name: Versio\n[];="<>,ext', max_size=200).map(str.encode))
def test_any_bytes_as_databases_leave_a_good_package_standing(noise: bytes) -> None:
    info = f"{SITE}/noise-1.dist-info"
    files: Files = dict.fromkeys(
        (f"{info}/{name}" for name in ("METADATA", "RECORD", "top_level.txt", "INSTALLER")), noise
    )
    files |= dict.fromkeys(
        (f"{SITE}/n.egg-info/{name}" for name in ("PKG-INFO", "requires.txt", "top_level.txt")), noise
    )
    files[f"{SITE}/single.egg-info"] = noise
    files["/usr/local/pyvenv.cfg"] = noise
    requires = tuple(noise.decode("latin-1").splitlines())
    found = pip.find(tree_of({**files, **wheel("good", requires=("good", *requires))}))
    assert f"{SITE}/good/__init__.py" in next(each for each in found.packages if each.name == "good").files


def test_an_egg_link_reports_the_project_and_leaves_its_modules_to_the_application() -> None:
    files: Files = {
        f"{SITE}/my-app.egg-link": "/app/src\n../\n",
        "/app/src/my_app.egg-info/PKG-INFO": metadata("my-app", "0.1"),
        "/app/src/my_app.egg-info/requires.txt": "lib\n",
        "/app/src/my_app/__init__.py": "x = 1\n",
        **wheel("lib"),
    }
    found = packages(files)[f"pip:my-app@{SITE}"]
    assert found.version == "0.1"
    assert set(found.files) == {
        f"{SITE}/my-app.egg-link",
        "/app/src/my_app.egg-info/PKG-INFO",
        "/app/src/my_app.egg-info/requires.txt",
    }
    assert names(found) == ["lib"]


def test_an_editable_installation_owns_what_its_record_lists_and_not_the_project() -> None:
    files = wheel(
        "app",
        files={"__editable__.app-1.0.pth": "/app/src\n"},
        also={"direct_url.json": '{"url": "file:///app", "dir_info": {"editable": true}}'},
    )
    files["/app/src/app/__init__.py"] = "x = 1\n"
    found = only(files)
    assert f"{SITE}/__editable__.app-1.0.pth" in found.files
    assert "/app/src/app/__init__.py" not in found.files


def test_an_egg_link_to_nothing_is_a_problem() -> None:
    found = pip.find(tree_of({f"{SITE}/gone.egg-link": "/nowhere\n.\n"}))
    assert found.packages == ()
    assert found.problems[0].path == f"{SITE}/gone.egg-link"


def test_an_unpacked_egg_owns_its_directory() -> None:
    egg = f"{SITE}/old-1.0-py3.11.egg"
    found = only({f"{egg}/EGG-INFO/PKG-INFO": metadata("old"), f"{egg}/old/a.py": "x = 1\n"})
    assert (found.name, found.location) == ("old", SITE)
    assert set(found.files) == {f"{egg}/EGG-INFO/PKG-INFO", f"{egg}/old/a.py"}


def test_without_a_list_the_commands_of_the_entry_points_count_too() -> None:
    info = f"{SITE}/tool-1.0.egg-info"
    found = only(
        {
            f"{info}/PKG-INFO": metadata("tool"),
            f"{info}/entry_points.txt": "[console_scripts]\ntool = tool:main\n../escape = a:b\n\n[other]\nx = a:b\n",
            "/usr/local/bin/tool": "#!/usr/bin/python3\n",
            "/usr/local/bin/x": "#!/bin/sh\n",
        }
    )
    assert [path for path in found.files if not path.startswith(SITE)] == ["/usr/local/bin/tool"]


def test_a_record_whose_sizes_the_tree_contradicts_is_a_problem_and_its_files_are_reported() -> None:
    files = wheel("demo", files={"demo/a.py": "x = 1\n", "demo/b.py": "y = 2\n"})
    files[f"{SITE}/demo/b.py"] = "y = 2222\n"
    found = pip.find(tree_of(files))
    assert f"{SITE}/demo/b.py" in found.packages[0].files
    assert found.problems[0].path == f"{SITE}/demo-1.0.dist-info/RECORD"
    assert f"1 of 4 files have another size than it says, {SITE}/demo/b.py is one" in found.problems[0].text


def test_a_record_does_not_take_what_another_manager_unpacked_outside_of_its_prefix() -> None:
    files = wheel("liar", listed=("../../../../../bin/bash",))
    files["/bin/bash"] = b"\x7fELF"
    files["/var/lib/dpkg/status"] = "Package: bash\nVersion: 1\nStatus: install ok installed\n\n"
    files["/var/lib/dpkg/info/bash.list"] = "/bin/bash\n"
    owners = take_inventory(tree_of(files)).owners["/bin/bash"]
    assert [package.key for package in owners] == ["apt:bash@/", f"pip:liar@{SITE}"]


def test_requirement_files_tell_direct_from_transitive_where_no_installer_did() -> None:
    files = {
        **wheel("asked", requires=("pulled",)),
        **wheel("pulled"),
        **wheel("unknown"),
        **wheel("Inc-luded"),
        **wheel("from-url"),
        "/app/requirements.txt": "# comment\nasked[extra]>=1 \\\n  --hash=sha256:00  # why\n-r more/base.txt\n-e .\n"
        "--index-url https://example.org/simple\nhttps://example.org/x.whl\n"
        "-e git+https://example.org/y.git@v1#subdirectory=a&egg=from_url[extra]\n",
        "/app/more/base.txt": "inc_luded ; python_version > '3'\n-r ../requirements.txt\n",
    }
    assert {package.name: package.requested for package in packages(files).values()} == {
        "asked": True, "pulled": False, "unknown": None, "inc-luded": True, "from-url": True,
    }  # fmt: skip


def test_requirement_files_of_packages_and_of_tests_do_not_count() -> None:
    files = {**wheel("demo", files={"demo/requirements.txt": "demo\n"}), "/src/tests/requirements.txt": "demo\n"}
    assert only(files).requested is None


def test_the_installers_own_marks_outrank_requirement_files() -> None:
    pip_wrote = {"INSTALLER": "pip\n"}
    files = {**wheel("asked", also={**pip_wrote, "REQUESTED": ""}), **wheel("pulled", also=pip_wrote)}
    files["/app/requirements.txt"] = "pulled\n"
    assert packages(files)[f"pip:pulled@{SITE}"].requested is False
