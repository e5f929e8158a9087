"""Following with a cache, and with other processes: cheaper, and the same."""

from dataclasses import replace
from typing import BinaryIO

import pytest

from mlbloat.cache import NoCache
from mlbloat.model.filetree import Entry, FileTree
from mlbloat.model.image import ImageConfig
from mlbloat.model.package import Inventory
from mlbloat.model.use import Level, Reason, Use
from mlbloat.runtime import workers
from mlbloat.usage import static
from tests.support.caches import MemoryCache
from tests.support.elf import elf_file
from tests.support.trees import Link, tree_of

CONFIG = ImageConfig(document=b"{}", entrypoint=("/bin/start",))
NOTHING = Inventory(packages=(), owners={})
COMMANDS = (("/bin/start",),)
LIB = "/usr/lib/python3.11"
TREE = replace(
    tree_of(
        {
            "/bin/start": "#!/bin/sh\n. /lib/common.sh\npython3.11 /app/main.py\n",
            "/bin/sh": elf_file(interpreter="/lib/ld.so", needed=("libx.so.1",), strings=("/etc/x.conf", "liby.so")),
            "/bin/python3.11": elf_file(interpreter="/lib/ld.so"),
            "/lib/common.sh": "true\n",
            "/lib/ld.so": elf_file(),
            "/usr/lib/libx.so.1": elf_file(soname="libx.so.1"),
            "/usr/lib/liby.so": elf_file(),
            "/etc/x.conf": "plugin = /opt/p/data\n",
            "/opt/p/data": "x",
            "/app/main.py": "import p\nopen('/opt/p/data')\n",
            f"{LIB}/os.py": "",
            f"{LIB}/encodings/__init__.py": "",
            f"{LIB}/p/__init__.py": "def f():\n    from . import q\n",
            f"{LIB}/p/q.py": "import ctypes\nctypes.CDLL('liby.so')\n",
        }
    ),
    layers=("sha256:" + "0" * 64,),
)


class Closed:
    """Contents that nobody may read."""

    def open(self, entry: Entry) -> BinaryIO:
        raise AssertionError(f"{entry.path} was read")


UNREADABLE = replace(TREE, contents=Closed())


def follow(tree: FileTree, cache: MemoryCache | NoCache | None = None) -> tuple[Use, ...]:
    return static.follow(tree, NOTHING, CONFIG, (), COMMANDS, cache or NoCache())


def test_a_known_image_is_followed_without_reading_a_file() -> None:
    cache = MemoryCache()
    cold = follow(TREE, cache)
    assert {"/etc/x.conf", "/usr/lib/liby.so", f"{LIB}/p/q.py"} <= {use.path for use in cold}
    assert follow(UNREADABLE, cache) == cold == follow(TREE)


def test_a_new_question_is_answered_from_what_is_known_of_the_files() -> None:
    cache = MemoryCache()
    cold = follow(TREE, cache)
    cache.forget("reach/")
    assert follow(UNREADABLE, cache) == cold


def test_another_question_has_another_answer() -> None:
    cache = MemoryCache()
    cold = follow(TREE, cache)
    touched = (Use("/opt/p/data", Level.TRACED, Reason.OPENED, "run"),)
    traced = static.follow(UNREADABLE, NOTHING, CONFIG, touched, COMMANDS, cache)
    assert traced != cold
    assert traced == static.follow(TREE, NOTHING, CONFIG, touched, COMMANDS)
    assert static.follow(UNREADABLE, NOTHING, CONFIG, touched, COMMANDS, cache) == traced


@pytest.mark.parametrize("damaged", [b"", b"\xc1", b"\x90", b"\x93\x01\x02\x03"])
def test_damaged_values_of_the_cache_are_learnt_again(damaged: bytes) -> None:
    cache = MemoryCache()
    cold = follow(TREE, cache)
    for parts in cache.parts.values():
        for part in parts:
            parts[part] = damaged
    if damaged == b"\x90":  # an empty list is what a file without facts is kept as, but no answer
        cache.forget("python/")
        cache.forget("elf/")
        cache.forget("head/")
        cache.forget("script/")
        cache.forget("settings/")
        cache.forget("extension/")
    assert follow(TREE, cache) == cold


def test_names_that_no_text_can_hold_are_kept_as_they_are() -> None:
    cache = MemoryCache()
    commands = (("/bin/start", "a\0b", "\udcff"),)
    for _ in range(2):
        uses = static.follow(TREE, NOTHING, CONFIG, (), commands, cache)
        assert uses == static.follow(TREE, NOTHING, CONFIG, (), commands)


def test_nothing_is_kept_where_layers_are_not_known() -> None:
    cache = MemoryCache()
    follow(replace(TREE, layers=()), cache)
    assert not cache.parts


def test_several_processes_find_what_one_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = follow(TREE)
    monkeypatch.setattr(workers, "_LEAST_TO_START", 1)
    monkeypatch.setattr(workers, "_can_fork", lambda: True)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    assert follow(TREE) == alone


def test_bytecode_of_what_only_may_be_needed_is_left_to_python() -> None:
    text = "import loaded\ndef f():\n    import later\n"
    names = ("loaded", "later")
    files: dict[str, bytes | str | None] = {"/usr/bin/python3.11": "interpreter", f"{LIB}/os.py": "", "/app/a.py": text}
    files |= {f"{LIB}/encodings/__init__.py": "", f"{LIB}/encodings/utf_8.py": ""}
    for name in names:
        files |= {f"{LIB}/{name}.py": "", f"{LIB}/__pycache__/{name}.cpython-311.pyc": b"code"}
    used = f"{LIB}/__pycache__/loaded.cpython-311.pyc"
    run = tuple(Use(path, Level.TRACED, Reason.OPENED, "run") for path in ("/app/a.py", used))
    for touched, commands, expected in (
        (run, (), [Level.TRACED, Level.PACKAGE]),
        (run[:1], (), [Level.PACKAGE, Level.PACKAGE]),
        ((), (("/app/a.py",),), [Level.LINKED, Level.PACKAGE]),
    ):
        levels: dict[str, Level] = {}
        for use in static.follow(tree_of(files), NOTHING, CONFIG, touched, commands):
            levels[use.path] = min(use.level, levels.get(use.path, use.level))
        assert [levels[f"{LIB}/{name}.py"] for name in names] == [Level.LINKED, Level.SAFE]
        assert [levels[f"{LIB}/__pycache__/{name}.cpython-311.pyc"] for name in names] == expected


_STANDARD = {
    "/usr/bin/python3.11": "",
    f"{LIB}/os.py": "",
    f"{LIB}/encodings/__init__.py": "",
    f"{LIB}/glob.py": "import fnmatch\n",
    f"{LIB}/json/__init__.py": "",
    f"{LIB}/json/decoder.py": "",
    f"{LIB}/json/tests/test_all.py": "",
    f"{LIB}/lib-dynload/mmap.cpython-311-x86_64-linux-gnu.so": "",
    f"{LIB}/lib-dynload/_curses.cpython-311-x86_64-linux-gnu.so": "",
    f"{LIB}/distutils/__init__.py": "",
    f"{LIB}/test/__init__.py": "",
    f"{LIB}/dist-packages/other.py": "",
}


@pytest.mark.parametrize(
    ("use", "stays"),
    [
        (Use("/usr/bin/python3.11", Level.TRACED, Reason.EXECUTED, "run 'r'"), True),
        (Use("/usr/bin/python3.11", Level.LINKED, Reason.INTERPRETER, "/app"), True),
        (Use("/usr/bin/python3.11", Level.SAFE, Reason.MAY_RUN, "/app"), False),
        (Use("/usr/bin/python3.11", Level.TRACED, Reason.KEEP_RULE, ""), False),
        (Use("/usr/bin/python3.12", Level.TRACED, Reason.LOOKED_UP, "run 'r'"), False),
    ],
    ids=["ran", "needed", "may run", "kept by a rule", "not there"],
)
def test_scripts_from_outside_may_import_the_standard_library_of_what_ran(use: Use, stays: bool) -> None:
    tree = tree_of(_STANDARD)
    found = {each.path: each.level for each in static.follow(tree, NOTHING, CONFIG, (use,), ())}
    wanted = ["glob.py", "json/__init__.py", "json/decoder.py", "lib-dynload/mmap.cpython-311-x86_64-linux-gnu.so"]
    assert [found.get(f"{LIB}/{name}") for name in wanted] == [Level.SAFE if stays else None] * len(wanted)
    left = ["json/tests/test_all.py", "distutils/__init__.py", "test/__init__.py", "dist-packages/other.py"]
    left.append("lib-dynload/_curses.cpython-311-x86_64-linux-gnu.so")
    assert not {f"{LIB}/{name}" for name in left} & found.keys()


def test_programs_below_a_named_directory_are_others() -> None:
    files: dict[str, bytes | str | None] = {
        "/bin/start": "#!/bin/sh\nexec /opt/tool/share\nTOOL_DIR=/opt/tool/share\n",
        "/bin/sh": b"\x7fELF",
        "/opt/tool/share/run": "#!/bin/sh\n",
        "/opt/tool/share/data": "x",
        "/opt/tool/share/misc/data": "x",
        "/opt/tool/share/misc/other": "#!/usr/bin/other\n",
        "/opt/tool/share/misc/link": Link("other"),
    }
    uses = static.follow(tree_of(files), NOTHING, CONFIG, (), (("/bin/start",),))
    kept = {use.path.removeprefix("/opt/tool/share/") for use in uses if use.path.startswith("/opt/tool/share/")}
    assert kept == {"run", "data", "misc/data"}


LINES = [
    (("python3.11", "-c", "import p.q; p.q.f()"), {"/bin/python3.11", f"{LIB}/p/q.py"}),
    (("/bin/sh", "-c", "python3.11 -c 'import p.q' || exit 1"), {"/bin/python3.11", f"{LIB}/p/q.py"}),
    (("/bin/sh", "-c", "python3.11 -m p.q || exit 1"), {"/bin/python3.11", f"{LIB}/p/q.py"}),
    (("python3.11", "-m", "p.q"), {"/bin/python3.11", f"{LIB}/p/q.py"}),
    (("/bin/sh", "-c", "it's broken"), {"/bin/sh"}),
    ((), set[str]()),
]
"""Command lines, and what they lead to."""


@pytest.mark.parametrize("touched", [(), (Use("/bin/sh", Level.TRACED, Reason.EXECUTED, "run"),)])
@pytest.mark.parametrize(("line", "kept"), LINES)
def test_what_the_images_command_has_python_run_is_kept(
    touched: tuple[Use, ...], line: tuple[str, ...], kept: set[str]
) -> None:
    config = ImageConfig(document=b"{}", entrypoint=line[:1], command=line[1:])
    found = {use.path for use in static.follow(TREE, NOTHING, config, touched, (line,))}
    bare = {use.path for use in static.follow(TREE, NOTHING, ImageConfig(document=b"{}"), touched, ())}
    assert kept - {"/bin/sh"} <= found - bare


@pytest.mark.parametrize("touched", [(), (Use("/bin/sh", Level.TRACED, Reason.EXECUTED, "run"),)])
@pytest.mark.parametrize(("check", "kept"), LINES)
def test_what_the_health_check_imports_is_kept(
    touched: tuple[Use, ...], check: tuple[str, ...], kept: set[str]
) -> None:
    config = ImageConfig(document=b"{}", command=("/bin/sh",), health_check=check)
    found = static.follow(TREE, NOTHING, config, touched, (("/bin/sh",),))
    without = static.follow(TREE, NOTHING, replace(config, health_check=()), touched, (("/bin/sh",),))
    assert kept - {"/bin/sh"} <= {use.path for use in found} - {use.path for use in without}
    assert all(use.level is Level.SAFE for use in set(found) - set(without))


@pytest.mark.parametrize("touched", [(), (Use("/bin/sh", Level.TRACED, Reason.EXECUTED, "run"),)])
def test_a_package_to_keep_is_one_more_root(touched: tuple[Use, ...]) -> None:
    asked = Use(f"{LIB}/p/q.py", Level.SAFE, Reason.KEEP_RULE, "keep_packages: q", pinned=True)
    before = static.follow(TREE, NOTHING, CONFIG, touched, COMMANDS)
    assert {use.path for use in before} <= {
        use.path for use in static.follow(TREE, NOTHING, CONFIG, (*touched, asked), COMMANDS)
    }
    only = static.follow(TREE, NOTHING, ImageConfig(document=b"{}"), (*touched, asked), ())
    assert {f"{LIB}/p/q.py", "/usr/lib/liby.so"} <= {use.path for use in only}
