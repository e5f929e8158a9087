import io

from hypothesis import given, settings
from hypothesis import strategies as st

from mlbloat.usage.trace.interpreters import interpreter_in


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=400), st.sampled_from((b"", b"#!", b"\x7fELF\x01\x01", b"\x7fELF\x02\x01", b"\x7fELF\x02\x02"))
)
def test_no_content_makes_it_fail(content: bytes, magic: bytes) -> None:
    assert len(interpreter_in(io.BytesIO(magic + content))) <= 4096


def test_the_line_is_read_as_the_kernel_reads_it() -> None:
    found = [interpreter_in(io.BytesIO(line)) for line in (b"#!/a b c\n", b"#! \t/a\tb\n", b"#!/a", b"#!\n", b"# /a\n")]
    assert found == ["/a", "/a", "/a", "", ""]
