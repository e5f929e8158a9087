import os
from pathlib import Path

from mlbloat.usage.trace.names import Names

_AT_FDCWD = 0xFFFFFF9C


def test_relative_names_start_at_the_working_directory_or_the_descriptor(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        names, me = Names(), os.getpid()
        assert names.absolute(me, _AT_FDCWD, b"a/../b") == os.fsencode(Path.cwd()) + b"/a/../b"
        assert names.absolute(me, descriptor, b"x") == os.fsencode(tmp_path / "x")
        assert names.descriptor(me, descriptor) == os.fsencode(tmp_path)
    finally:
        os.close(descriptor)


def test_what_is_no_file_has_no_name() -> None:
    reading, writing = os.pipe()
    try:
        assert Names().absolute(os.getpid(), reading, b"x") is None
        assert Names().descriptor(os.getpid(), writing) is None
    finally:
        os.close(reading)
        os.close(writing)


def test_own_magic_links_are_followed_and_the_rest_of_proc_is_not(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        names, me = Names(), os.getpid()
        through = b"/proc/self/fd/%d/f" % descriptor
        assert names.absolute(me, _AT_FDCWD, through) == os.fsencode(tmp_path / "f")
        assert names.absolute(me, _AT_FDCWD, b"/proc/cpuinfo") == b"/proc/cpuinfo"
    finally:
        os.close(descriptor)


def test_names_behind_links_that_the_run_made_are_found() -> None:
    names = Names()
    assert names.behind_links(b"/venv/bin/python") is None
    names.made_link(b"/venv/bin/python", b"python3")
    names.made_link(b"/venv/bin/python3", b"/usr/bin/python3")
    names.made_link(b"/venv/lib64/", b"lib")
    assert names.behind_links(b"/venv/bin/python") == b"/usr/bin/python3"
    assert names.behind_links(b"/venv/./lib64/x/y") == b"/venv/lib/x/y"
    assert names.behind_links(b"/venv/bin") is None


def test_a_link_that_is_renamed_is_followed_under_its_new_name() -> None:
    names = Names()
    names.made_link(b"/tmp/new", b"/usr/share/one")
    names.moved(b"/tmp/new", b"/tmp/current")
    assert names.behind_links(b"/tmp/current/f") == b"/usr/share/one/f"
    assert names.behind_links(b"/tmp/new/f") is None


def test_links_in_a_circle_end() -> None:
    names = Names()
    names.made_link(b"/a", b"/b")
    names.made_link(b"/b", b"/a")
    assert names.behind_links(b"/a/x") in (None, b"/b/x")
