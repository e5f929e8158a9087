"""Names that a run read stay; a directory that the import system searched says nothing of what is in it."""

import pytest

from mlbloat.model.filetree import FileTree
from mlbloat.model.image import ImageConfig
from mlbloat.model.use import Access, Action, Level, Reason, RunRecord
from mlbloat.usage.trace import seen_directories, uses_of
from tests.support.trees import Link, tree_of

_CONFIG = ImageConfig(document=b"{}", environment=(("PATH", "/opt/tools/bin:/usr/bin"), ("PYTHONPATH", "/extra")))
_LISTED, _LOOKED_UP, _OPENED = Action.LISTED, Action.LOOKED_UP, Action.OPENED
_BY_PYTHON = ("/usr/lib/python3.11/encodings/__init__.py", _LOOKED_UP)
"""Something that only an interpreter with an import system does."""


def _named(tree: FileTree, *accesses: tuple[str, Action], config: ImageConfig = _CONFIG) -> dict[str, bool]:
    """Run; returns what is kept for a listing, and whether at every level."""
    record = _record(*accesses)
    uses = [use for use in uses_of((record,), tree, config) if use.reason is Reason.LISTED]
    assert {(use.level, use.by) for use in uses} <= {(Level.SAFE, "run 'train'")}
    return {use.path: use.pinned for use in uses}


def _record(*accesses: tuple[str, Action]) -> RunRecord:
    return RunRecord(
        name="train",
        engine="e",
        tracer="t",
        seconds=1,
        exit=0,
        stdout=b"",
        stderr=b"",
        accesses=tuple(Access(path, action) for path, action in accesses),
    )


def test_names_in_a_listed_directory_are_kept_at_every_level_and_what_links_point_to_from_safe_on() -> None:
    tree = tree_of(
        {
            "/app/data/a.conf": "1",
            "/app/data/b": Link("/elsewhere"),
            "/app/data/deep/c.conf": "3",
            "/elsewhere": "4",
            "/app/beside": "5",
        }
    )
    assert _named(tree, ("/app/data", _LISTED)) == {"/app/data/a.conf": True, "/app/data/b": False}


def test_a_directory_that_programs_list_in_passing_says_nothing() -> None:
    files = ("/usr/bin/tool", "/opt/tools/bin/tool", "/usr/lib/x86_64-linux-gnu/libc.so.6", "/proc/cpuinfo")
    tree = tree_of(dict.fromkeys(files, "x") | {f"/many/{number}": "x" for number in range(2001)})
    listed = (
        "/",
        "/usr/bin",
        "/opt/tools/bin",
        "/usr/lib/x86_64-linux-gnu",
        "/proc",
        "/many",
        "/gone",
        "/usr/bin/tool",
    )
    assert _named(tree, *((path, _LISTED) for path in listed)) == {}


@pytest.mark.parametrize(
    "installed", ["/usr/lib/python3.11", "/usr/lib/python3/dist-packages", "/opt/site-packages", "/extra"]
)
def test_what_holds_installed_modules_is_searched_and_says_nothing(installed: str) -> None:
    tree = tree_of(
        {"/usr/lib/python3.11/os.py": "o", f"{installed}/some.py": "x", f"{installed}/one/two/three.py": "x"}
    )
    packages = (f"{installed}/one", f"{installed}/one/two") if installed != "/extra" else ()
    assert _named(tree, _BY_PYTHON, *((path, _LISTED) for path in (installed, *packages))) == {}


def test_data_among_installed_modules_was_listed_for_itself() -> None:
    tree = tree_of({"/opt/site-packages/one/__init__.py": "x", "/opt/site-packages/one/words/a.txt": "x"})
    assert _named(tree, _BY_PYTHON, ("/opt/site-packages/one/words", _LISTED)) == {
        "/opt/site-packages/one/words/a.txt": True
    }


_APPLICATION = {
    "/app/main.py": "m",
    "/app/notes": "n",
    "/app/plugins/__init__.py": "p",
    "/app/plugins/one.py": "1",
    "/app/plugins/two.py": "2",
}
_PLUGINS = dict.fromkeys((path for path in _APPLICATION if path.startswith("/app/plugins/")), True)
_MAIN = (_BY_PYTHON, ("/app/main.py", _OPENED), ("/app", _LISTED))


def test_modules_that_were_listed_and_not_imported_keep_their_names() -> None:
    assert _named(tree_of(_APPLICATION), *_MAIN, ("/app/plugins", _LISTED)) == _PLUGINS


def test_a_package_is_listed_by_the_import_system_after_its_init_was_looked_for() -> None:
    imported = (("/app/plugins/__init__.abi3.so", _LOOKED_UP), ("/app/plugins/__init__.py", _LOOKED_UP))
    tree, listed = tree_of(_APPLICATION), ("/app/plugins", _LISTED)
    assert _named(tree, *_MAIN, *imported, listed, ("/app/plugins/one.py", _LOOKED_UP)) == {}
    assert _named(tree, *_MAIN, listed, *imported, ("/app/plugins/one.py", _LOOKED_UP)) == _PLUGINS


@pytest.mark.parametrize(
    "found",
    [
        "/code/__pycache__/one.cpython-311.pyc",
        "/code/fast.cpython-311-x86_64-linux-gnu.so",
        "/code/fast.abi3.so",
        "/code/package/__init__.cpython-311-x86_64-linux-gnu.so",
    ],
)
def test_a_directory_where_the_import_system_found_something_was_searched(found: str) -> None:
    tree = tree_of({"/code/one.py": "1", "/code/two.py": "2", "/code/package/__init__.py": "p", "/v": Link("code")})
    for code in ("/code", "/v"):
        assert _named(tree, _BY_PYTHON, (code, _LISTED), (found.replace("/code", code, 1), _LOOKED_UP)) == {}
    assert len(_named(tree, _BY_PYTHON, ("/code", _LISTED))) == 2


def test_the_directory_of_a_script_is_searched_and_one_whose_files_are_read_later_was_listed() -> None:
    tree = tree_of({"/run.d/one.py": "1", "/run.d/two.py": "2"})
    listed, opened = ("/run.d", _LISTED), ("/run.d/one.py", _OPENED)
    assert _named(tree, opened, listed) == {}
    assert _named(tree, listed, opened) == {"/run.d/one.py": True, "/run.d/two.py": True}


def test_the_working_directory_is_searched_by_python_only() -> None:
    config = ImageConfig(document=b"{}", working_directory="/work")
    modules, listed = tree_of({"/work/code.py": "c", "/work/data": "d"}), ("/work", _LISTED)
    assert _named(modules, _BY_PYTHON, listed, config=config) == {}
    assert _named(modules, listed, config=config) == {"/work/code.py": True, "/work/data": True}
    assert _named(tree_of({"/work/data": "d"}), _BY_PYTHON, listed, config=config) == {"/work/data": False}


def test_directories_are_seen_by_name_and_by_listing_what_holds_no_modules() -> None:
    files = ("/d/named/x", "/d/listed/below/deep/x", "/site-packages/package/__init__.py", "/d/other/x")
    tree = tree_of({**dict.fromkeys(files, "x"), "/link": Link("/d/named")})
    accesses = (("/link", _LOOKED_UP), ("/d/listed", _LISTED), ("/site-packages", _LISTED), ("/d/other/x", _OPENED))
    assert seen_directories((_record(*accesses, ("/gone", _LOOKED_UP)),), tree) == {
        "/d/named",
        "/d/listed",
        "/d/listed/below",
        "/site-packages",
    }
