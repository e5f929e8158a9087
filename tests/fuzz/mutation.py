"""Damage that parsers fall for: edits of valid bytes, found and shrunk by Hypothesis."""

import re

from hypothesis import strategies as st

_NUMBERS = re.compile(rb"[0-9]+")
_TOKENS = (
    *(b"\0", b"\n", b"\r\n", b" ", b"/", b"../", b"//", b"\xff", b"\xed\xa0\x80", "é\u2028\U0001f600".encode()),
    *(b"-1", b"0", b"9" * 20, b"1e999", b"NaN", b"null", b"{}", b"[]", b"[" * 3000, b"(" * 3000, b"a" * 5000),
    *(
        b'"',
        b"\\",
        b"\\ud800",
        b"'''",
        b'"""',
        b"(",
        b")",
        b"import ",
        b"from . import ",
        b"%s",
        b"${X}",
        b"$(",
        b"`",
        b"*",
    ),
)
_VALUES = (b"0", b"1", b"-1", b"255", b"4294967295", b"9223372036854775807", b"18446744073709551616", b"9" * 400)


@st.composite
def damaged(draw: st.DrawFn, seeds: tuple[bytes, ...], most: int = 6) -> bytes:
    """Return one of the seeds after a few edits; none at all now and then."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, most))):
        data = _edited(draw, data)
    return data


def _edited(draw: st.DrawFn, data: bytes) -> bytes:
    """Replace a range, which may be empty, by bytes that are random, known to hurt, or from elsewhere in the data."""
    at = draw(st.integers(0, len(data)))
    end = min(len(data), at + draw(st.integers(0, 64)))
    kind = draw(st.sampled_from(["byte", "bytes", "token", "cut", "repeat", "move", "number"]))
    if kind == "number" and (numbers := list(_NUMBERS.finditer(data))):
        at, end = draw(st.sampled_from(numbers)).span()
        return data[:at] + draw(st.sampled_from(_VALUES)) + data[end:]
    if kind == "byte":
        return data[:at] + bytes([draw(st.integers(0, 255))]) + data[at + 1 :]
    if kind == "cut":
        return data[:at]
    if kind == "bytes":
        new = draw(st.binary(max_size=16))
    elif kind == "token":
        at, new = end, draw(st.sampled_from(_TOKENS))
    elif kind == "repeat":
        new = data[at:end] * draw(st.sampled_from([2, 3, 300]))
    else:
        other = draw(st.integers(0, len(data)))
        new = data[other : other + end - at]
    return data[:at] + new + data[end:]


def checked(tar: bytes) -> bytes:
    """Make the checksums of a tar right again, so that damage gets past them."""
    fixed = bytearray(tar)
    for offset in range(0, len(fixed) - 511, 512):
        block = fixed[offset : offset + 512]
        if block[257:262] == b"ustar":
            fixed[offset + 148 : offset + 156] = b"%06o\0 " % (sum(block[:148]) + 256 + sum(block[156:]))
    return bytes(fixed)
