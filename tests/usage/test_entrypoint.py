"""Where static reach begins."""

import shlex

import pytest

from mlbloat.model.image import ImageConfig
from mlbloat.model.package import CachedPackage, Inventory, Manager, Package
from mlbloat.model.use import Level, Reason, Use
from mlbloat.model.workload import Workload
from mlbloat.usage.entrypoint import (
    application_seeds,
    entrypoint_seeds,
    health_check_seeds,
    own_command_seeds,
    packages_named,
    wanted,
)
from tests.support.trees import tree_of

Files = dict[str, bytes | str | None]
NOTHING = Inventory(packages=(), owners={})
PROGRAMS: Files = {"/usr/bin/python3": "#!x", "/usr/bin/sh": "#!x", "/usr/bin/server": "#!x", "/usr/bin/tini": "#!x"}


def seeds(*argv: str, place: str = "/app", **files: str) -> list[str]:
    config = ImageConfig(document=b"{}", working_directory=place)
    return [use.path for use in entrypoint_seeds(tree_of({**PROGRAMS, "/app/main.py": "", **files}), config, (argv,))]


def application(files: Files, *argv: str, place: str = "/app", inventory: Inventory = NOTHING) -> list[str]:
    config = ImageConfig(document=b"{}", working_directory=place)
    return [use.path for use in application_seeds(tree_of({**PROGRAMS, **files}), inventory, config, (argv,))]


def beyond(files: Files, opened: str = "", searched: str = "", inventory: Inventory = NOTHING) -> list[str]:
    """The application's files when nothing but what a run opened, or PYTHONPATH, tells where they are."""
    config = ImageConfig(document=b"{}", working_directory="/home/me", environment=(("PYTHONPATH", searched),))
    touched = (Use(opened, Level.TRACED, Reason.OPENED, "run 'a'"),) if opened else ()
    return [use.path for use in application_seeds(tree_of(files), inventory, config, (), touched)]


def test_modules_that_nothing_installed_show_where_the_application_is() -> None:
    files: Files = dict.fromkeys(("/srv/app/shop/__init__.py", "/srv/app/shop/cli/__init__.py"), "")
    files |= dict.fromkeys(
        ("/srv/app/shop/cli/run.py", "/srv/app/shop/data.csv", "/srv/app/later.py", "/srv/else/x"), ""
    )
    assert beyond(files, opened="/srv/app/shop/cli/run.py") == sorted(
        path for path in files if path.startswith("/srv/app/")
    )


def test_modules_that_something_installed_show_nothing() -> None:
    for place in (
        "/usr/local/lib/python3.11",
        "/opt/venv/lib/python3.11/site-packages",
        "/usr/lib/python3/dist-packages",
    ):
        files: Files = {f"{place}/a/__init__.py": "", f"{place}/b.py": ""}
        assert beyond(files, opened=f"{place}/a/__init__.py", searched=place) == []
    owner = Package(manager=Manager.APT, name="tool", version="1", location="/", files=("/opt/tool/main.py",))
    files = {"/opt/tool/main.py": "", "/opt/tool/more.py": ""}
    assert (
        beyond(
            files, opened="/opt/tool/main.py", inventory=Inventory(packages=(owner,), owners={owner.files[0]: (owner,)})
        )
        == []
    )


def test_directories_of_pythonpath_are_the_applications() -> None:
    files: Files = {"/srv/code/a.py": "", "/srv/more/b.py": "", "/usr/lib/c.py": "", "/srv/other/d.py": ""}
    assert beyond(files, searched="/srv/code:/srv/more:/usr/lib:relative:") == ["/srv/code/a.py", "/srv/more/b.py"]


def test_the_program_and_its_script_are_linked_to_the_command_line() -> None:
    tree = tree_of({**PROGRAMS, "/app/main.py": ""})
    found = entrypoint_seeds(tree, ImageConfig(document=b"{}"), (("python3", "/app/main.py"),))
    by = "python3 /app/main.py"
    assert found == (
        Use("/usr/bin/python3", Level.LINKED, Reason.ENTRYPOINT, by),
        Use("/app/main.py", Level.LINKED, Reason.ENTRYPOINT, by),
    )


def test_the_images_own_command_is_a_root_at_safe() -> None:
    config = ImageConfig(document=b"{}", entrypoint=("tini", "--"), command=("python3", "/app/main.py"))
    found = own_command_seeds(tree_of({**PROGRAMS, "/app/main.py": ""}), config)
    assert [(use.path, use.level) for use in found] == [
        ("/usr/bin/tini", Level.SAFE),
        ("/usr/bin/python3", Level.SAFE),
        ("/app/main.py", Level.SAFE),
    ]


def test_a_command_that_names_a_file_that_is_not_there_is_no_root() -> None:
    config = ImageConfig(document=b"{}", command=("python3", "/app/gone.py"))
    assert own_command_seeds(tree_of(PROGRAMS), config) == ()
    assert own_command_seeds(tree_of(PROGRAMS), ImageConfig(document=b"{}")) == ()


CHECKS: Files = {"/usr/bin/curl": "#!x", "/bin/sh": "#!x", "/app/check.py": "", "/usr/bin/unused": "#!x"}


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (("curl", "-f", "http://localhost/"), {"/usr/bin/curl"}),
        (("/bin/sh", "-c", "curl -f http://localhost/ || exit 1"), {"/bin/sh", "/usr/bin/curl"}),
        (("/bin/sh", "-c", "python3 check.py; exit $?"), {"/bin/sh", "/usr/bin/python3", "/app/check.py"}),
        (("curl", "--unix-socket", "/run/made-later.sock", "http://x/"), {"/usr/bin/curl"}),
        (("gone", "-q"), set()),
        ((), set()),
    ],
)
def test_the_images_health_check_is_a_root_at_safe(line: tuple[str, ...], kept: set[str]) -> None:
    config = ImageConfig(document=b"{}", working_directory="/app", command=("server",), health_check=line)
    found = health_check_seeds(tree_of({**PROGRAMS, **CHECKS}), config)
    by = shlex.join(line)
    assert {use.path for use in found} == kept
    assert set(found) == {Use(path, Level.SAFE, Reason.HEALTH_CHECK, by) for path in kept}


def test_relative_arguments_belong_to_the_working_directory() -> None:
    assert seeds("python3", "main.py") == ["/usr/bin/python3", "/app/main.py"]
    assert seeds("python3", "main.py", place="/srv") == ["/usr/bin/python3"]


def test_a_relative_program_belongs_to_the_working_directory() -> None:
    assert seeds("./run", **{"/app/run": "#!x"}) == ["/app/./run"]


def test_values_of_options_may_be_files() -> None:
    assert seeds("server", "--config=/etc/s.conf", **{"/etc/s.conf": ""}) == ["/usr/bin/server", "/etc/s.conf"]


def test_the_script_of_a_shell_names_its_commands() -> None:
    assert seeds("sh", "-c", "exec server -x") == ["/usr/bin/sh", "/usr/bin/server"]


def test_the_command_of_a_wrapper_is_found() -> None:
    assert seeds("tini", "--", "server") == ["/usr/bin/tini", "/usr/bin/server"]


def test_a_missing_program_is_no_seed() -> None:
    assert seeds("absent") == []


def test_the_working_directory_is_the_application() -> None:
    files: Files = {"/app/a.py": "", "/app/sub/b.bin": "", "/srv/c": ""}
    assert application(files, "python3") == ["/app/a.py", "/app/sub/b.bin"]


@pytest.mark.parametrize("place", ["/usr/lib/python3/dist-packages/shop", "usr/lib/python3/dist-packages/shop"])
def test_the_working_directory_may_be_among_installed_modules_and_written_without_a_slash(place: str) -> None:
    files: Files = {"/usr/lib/python3/dist-packages/shop/a.csv": "", "/usr/lib/python3/dist-packages/b.csv": ""}
    assert application(files, "python3", place=place) == ["/usr/lib/python3/dist-packages/shop/a.csv"]


def test_files_beside_the_script_are_the_application() -> None:
    files: Files = {"/srv/code/main.py": "", "/srv/code/data/x": ""}
    assert application(files, "python3", "/srv/code/main.py", place="/") == ["/srv/code/data/x", "/srv/code/main.py"]


def test_what_a_package_owns_is_not_the_application() -> None:
    package = Package(manager=Manager.PIP, name="p", version="1", location="/app", files=("/app/p.py",))
    inventory = Inventory(packages=(package,), owners={"/app/p.py": (package,)})
    assert application({"/app/p.py": "", "/app/a.py": ""}, "python3", inventory=inventory) == ["/app/a.py"]


def test_packages_in_a_cache_are_not_the_application() -> None:
    cached = CachedPackage(manager=Manager.PIP, name="p", version="1", path="/app/uv/archive-v0/x")
    inventory = Inventory(packages=(), owners={}, cached=(cached,))
    files: Files = {"/app/uv/archive-v0/x/p.py": "", "/app/a.py": ""}
    assert application(files, "python3", inventory=inventory) == ["/app/a.py"]


def test_shared_directories_are_not_the_application() -> None:
    assert application({"/usr/local/bin/run": "#!x", "/usr/local/bin/other": ""}, "run", place="/usr/local/bin") == []


def test_of_the_root_only_the_files_in_it_count() -> None:
    assert application({"/main.py": "", "/srv/x": ""}, "python3", "/main.py", place="/") == ["/main.py"]


def test_download_caches_are_not_the_application() -> None:
    files: Files = {"/root/.cache/pip/http/x": "", "/root/.cache/models/m": ""}
    assert application(files, "python3", place="/root") == []
    assert application({f"/home/me{path[5:]}": "" for path in files}, "python3", place="/home/me") == [
        "/home/me/.cache/models/m"
    ]


def test_packages_to_keep_are_named_with_or_without_their_manager() -> None:
    pip = Package(manager=Manager.PIP, name="some-dist", version="1", location="/s", files=("/s/a.py", "/s/b.py"))
    apt = Package(manager=Manager.APT, name="some-dist", version="1", location="/", files=("/usr/bin/x",))
    inventory = Inventory(packages=(apt, pip), owners={})
    assert list(packages_named(inventory, "Some_Dist")) == [apt, pip]
    assert list(packages_named(inventory, "pip:Some.Dist")) == [pip]
    assert list(packages_named(inventory, "npm:some-dist")) == []
    assert wanted(inventory, Workload(keep_packages=("pip:some-dist",))) == tuple(
        Use(path, Level.SAFE, Reason.KEEP_RULE, "keep_packages: pip:some-dist", pinned=True) for path in pip.files
    )
