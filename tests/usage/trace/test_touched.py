import struct

import pytest

from mlbloat.model.filetree import FileTree
from mlbloat.model.image import ImageConfig
from mlbloat.model.use import Access, Action, Level, RunRecord, Use
from mlbloat.usage.trace import missing_of, uses_of
from tests.support.trees import Link, tree_of

_CONFIG = ImageConfig(document=b"{}", environment=(("PATH", "/opt/tools/bin:/usr/bin"),))


def _record(*accesses: tuple[str, Action], name: str = "train") -> RunRecord:
    return RunRecord(
        name=name,
        engine="e",
        tracer="t",
        seconds=1,
        exit=0,
        stdout=b"",
        stderr=b"",
        accesses=tuple(Access(path, action) for path, action in accesses),
    )


def _uses(tree: FileTree, *accesses: tuple[str, Action]) -> list[str]:
    return [_line(use) for use in uses_of((_record(*accesses),), tree, _CONFIG)]


def _line(use: Use) -> str:
    return f"{use.path} {use.level.label}: {use.reason} {use.by}"


def _elf(interpreter: str) -> bytes:
    """The headers of a 64-bit little-endian program with one PT_INTERP segment."""
    name = interpreter.encode() + b"\0"
    header = (
        b"\x7fELF"
        + bytes([2, 1, 1])
        + bytes(9)
        + struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    )
    return header + struct.pack("<IIQQQQQQ", 3, 4, 120, 0, 0, len(name), len(name), 1) + name


def test_every_link_on_the_way_is_used() -> None:
    tree = tree_of(
        {"/lib": Link("usr/lib"), "/usr/lib/a.so": Link("a.so.1"), "/usr/lib/a.so.1": "x", "/usr/lib/b": "x"}
    )
    assert _uses(tree, ("/lib/../lib/./a.so", Action.OPENED)) == [
        "/lib traced: opened by run 'train'",
        "/usr/lib/a.so traced: opened by run 'train'",
        "/usr/lib/a.so.1 traced: opened by run 'train'",
    ]


def test_a_dangling_link_is_used_although_what_it_names_is_missing() -> None:
    tree = tree_of({"/l": Link("/gone")})
    assert _uses(tree, ("/l", Action.LOOKED_UP)) == ["/l traced: looked up by run 'train'"]
    assert missing_of((_record(("/l", Action.LOOKED_UP), ("/l/x", Action.OPENED)),), tree) == ("/l", "/l/x")


def test_order_is_that_of_first_use_over_all_runs() -> None:
    tree = tree_of({"/a": "1", "/b": "2"})
    records = (_record(("/b", Action.OPENED), ("/a", Action.OPENED)), _record(("/b", Action.OPENED), name="again"))
    assert [(use.path, use.by) for use in uses_of(records, tree, _CONFIG)] == [
        ("/b", "run 'train'"),
        ("/a", "run 'train'"),
        ("/b", "run 'again'"),
    ]


def test_what_the_kernel_opens_for_a_program_is_traced_with_its_chain() -> None:
    tree = tree_of(
        {
            "/app/run": "#! /usr/bin/wrap -x\n",
            "/usr/bin/wrap": "#!/bin/interp\n",
            "/bin": Link("usr/bin"),
            "/usr/bin/interp": _elf("/lib64/ld.so"),
            "/lib64": Link("usr/lib64"),
            "/usr/lib64/ld.so": "x",
        }
    )
    assert _uses(tree, ("/app/run", Action.EXECUTED)) == [
        "/app/run traced: executed by run 'train'",
        "/usr/bin/wrap traced: interpreter of /app/run",
        "/bin traced: interpreter of /usr/bin/wrap",
        "/usr/bin/interp traced: interpreter of /usr/bin/wrap",
        "/lib64 traced: interpreter of /usr/bin/interp",
        "/usr/lib64/ld.so traced: interpreter of /usr/bin/interp",
    ]


def test_a_script_that_names_itself_ends() -> None:
    tree = tree_of({"/loop": "#!/loop\n"})
    assert _uses(tree, ("/loop", Action.EXECUTED)) == [
        "/loop traced: executed by run 'train'",
        "/loop traced: interpreter of /loop",
    ]


def test_a_script_that_was_only_read_needs_no_interpreter() -> None:
    tree = tree_of({"/s": "#!/i\n", "/i": "x"})
    assert _uses(tree, ("/s", Action.OPENED)) == ["/s traced: opened by run 'train'"]


def test_a_broken_program_has_no_interpreter() -> None:
    whole = _elf("/lib64/ld.so")
    for length in range(len(whole)):
        tree = tree_of({"/p": whole[:length]})
        assert {use.path for use in uses_of((_record(("/p", Action.EXECUTED)),), tree, _CONFIG)} == {"/p"}


@pytest.mark.parametrize(("user", "read"), [("worker", ["/etc/passwd", "/etc/group"]), ("", ["/etc/passwd"])])
def test_the_engine_reads_the_accounts_before_anything_runs(user: str, read: list[str]) -> None:
    tree = tree_of({"/etc/passwd": "p", "/etc/group": "g", "/bin/a": "a"})
    config = ImageConfig(document=b"{}", user=user)
    record = RunRecord(name="r", engine="e", tracer="t", seconds=0.0, exit=0, stdout=b"", stderr=b"")
    assert [(use.path, use.level) for use in uses_of((record,), tree, config)] == [
        (path, Level.TRACED) for path in read
    ]
    assert uses_of((), tree, config) == ()
