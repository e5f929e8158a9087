"""Differences of outputs are shown where they are, in few and short lines."""

from hypothesis import given, settings
from hypothesis import strategies as st

from mlbloat.textdiff import MAX_LINES, unified


def test_a_difference_far_into_a_long_line_is_in_sight() -> None:
    was, now = b"x" * 5000 + b"right" + b"y" * 5000, b"x" * 5000 + b"wrong" + b"y" * 5000
    minus, plus = unified(was, now)[-2:]
    assert minus.startswith("-\u2026x") and "xrighty" in minus and minus.endswith("y\u2026")
    assert "xwrongy" in plus
    assert len(plus) < 130


def test_a_difference_far_down_has_its_line_number() -> None:
    before = [b"line %d" % number for number in range(5000)]
    after = [*before]
    after[4000] = b"other"
    found = unified(b"\n".join(before), b"\n".join(after))
    assert found[2] == "@@ -3999,5 +3999,5 @@"
    assert found[5:7] == ("-line 4000", "+other")


def test_lines_that_one_side_lacks_do_not_make_all_others_differ() -> None:
    found = unified(b"a\nb\nc\nd\n", b"a\nc\nd\n")
    assert found == ("--- original", "+++ slim", "@@ -1,4 +1,3 @@", " a", "-b", " c", " d")


def test_a_long_diff_is_cut_and_counted() -> None:
    found = unified(b"\n".join(b"a%d" % n for n in range(99)), b"\n".join(b"b%d" % n for n in range(99)))
    assert len(found) == MAX_LINES + 1
    assert found[-1] == f"and {99 * 2 + 3 - MAX_LINES} more lines"


def test_nothing_that_a_terminal_obeys_is_shown() -> None:
    assert "-\\x1b[2J" in unified(b"\x1b[2J", b"ok")


@given(st.binary(max_size=200), st.binary(max_size=200))
@settings(max_examples=60, deadline=None)
def test_equal_is_nothing_and_different_is_something(was: bytes, now: bytes) -> None:
    assert (unified(was, now) == ()) is (was == now)
    assert all(line.isprintable() for line in unified(was, now))
