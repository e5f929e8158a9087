"""Two outputs as a unified diff that fits a terminal: long lines are cut around what differs in them.

https://www.gnu.org/software/diffutils/manual/html_node/Detailed-Unified.html
"""

import difflib
import posixpath
import re
from collections.abc import Iterator, Sequence

from mlbloat.model.plain import plain

MAX_LINES = 24
"""Of one diff; more are counted."""
_WIDTH = 120
_MAX_COMPARED = 2000
"""Lines around the first difference that are matched up; difflib's time grows with their square."""
_CONTEXT = 2


def unified(was: bytes, now: bytes) -> tuple[str, ...]:
    """Return the lines of a diff from the original's output to the slim image's; none when they are equal."""
    if was == now:
        return ()
    before, after = _lines(was), _lines(now)
    if before == after:
        return ("only line ends, or bytes that are not text, differ",)
    begin = max(0, _common(before, after) - _CONTEXT)
    cut_before, cut_after = before[begin : begin + _MAX_COMPARED], after[begin : begin + _MAX_COMPARED]
    found = ["--- original", "+++ slim", *_hunks(cut_before, cut_after, begin)]
    if len(found) > MAX_LINES:
        found = [*found[:MAX_LINES], f"and {len(found) - MAX_LINES} more lines"]
    return tuple(found)


def _lines(text: bytes) -> list[str]:
    return text.decode(errors="replace").splitlines()


def _common(before: Sequence[str], after: Sequence[str]) -> int:
    pairs = enumerate(zip(before, after, strict=False))
    return next((number for number, (was, now) in pairs if was != now), min(len(before), len(after)))


def _hunks(before: list[str], after: list[str], offset: int) -> Iterator[str]:
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for group in matcher.get_grouped_opcodes(_CONTEXT):
        first, last = group[0], group[-1]
        yield (f"@@ -{first[1] + offset + 1},{last[2] - first[1]} +{first[3] + offset + 1},{last[4] - first[3]} @@")
        for tag, low, high, other_low, other_high in group:
            yield from _changes(tag, before[low:high], after[other_low:other_high])


def _changes(tag: str, was: Sequence[str], now: Sequence[str]) -> Iterator[str]:
    if tag == "equal":
        yield from (" " + _around(line, 0) for line in was)
        return
    starts = [_difference(one, other) for one, other in zip(was, now, strict=False)]
    for sign, lines in (("-", was), ("+", now)):
        for number, line in enumerate(lines):
            yield sign + _around(line, starts[number] if number < len(starts) else 0)


def _difference(was: str, now: str) -> int:
    """Return where two lines begin to differ."""
    return len(posixpath.commonprefix((was, now)))


def _around(line: str, centre: int) -> str:
    """Cut a long line so that the place in question stands in its middle."""
    low = max(0, min(centre - _WIDTH // 2, len(line) - _WIDTH))
    text = plain(re.sub(r"\t", "    ", line[low : low + _WIDTH]))
    return ("…" if low else "") + text + ("…" if low + _WIDTH < len(line) else "")
