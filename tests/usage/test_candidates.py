"""Names in data that could mean a file in some image."""

from hypothesis import given, settings
from hypothesis import strategies as st

from mlbloat.usage.candidates import MAX_NAMES, libraries_in, paths_in


def test_paths_are_found_whatever_is_around_them() -> None:
    data = b"\0/etc/x.conf\0 see /usr/share/doc. /alone and file:///opt/x/*.so\n"
    assert list(paths_in(data)) == [
        (b"/etc/x.conf", True),
        (b"/usr/share/doc.", False),
        (b"///opt/x/*.so", False),
    ]


def test_libraries_are_found_with_their_version() -> None:
    assert list(libraries_in(b"\0liba.so.1.2\0 lib%s.so xlibb.so\0.so")) == [
        b"liba.so.1.2",
        b"s.so",
        b"xlibb.so",
        b".so",
    ]


def test_hostile_data_gives_a_bounded_number_of_names() -> None:
    assert len(list(libraries_in(b"a.so " * (MAX_NAMES + 5)))) == MAX_NAMES
    assert len(list(paths_in(b"/a/b " * (MAX_NAMES + 5)))) == MAX_NAMES


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([b"/usr/lib/x", b"/a", b"\0", b" ", b"/", b"b.so", b"\xff", b"*"])))
def test_every_path_of_the_data_is_in_a_candidate(parts: list[bytes]) -> None:
    found = [path for path, _ in paths_in(b"".join(parts))]
    assert b"".join(parts).count(b"/usr/lib/x") == sum(path.count(b"/usr/lib/x") for path in found)
