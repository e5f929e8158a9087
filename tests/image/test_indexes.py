"""What the cache keeps of a layer comes back as it was."""

from hypothesis import given, settings
from hypothesis import strategies as st

from mlbloat.cache import NoCache
from mlbloat.image import indexes
from mlbloat.image.indexes import Index
from mlbloat.model.digest import Digest
from mlbloat.model.filetree import Entry, Kind

DIFF_ID = Digest.of(b"layer")


class Memory(NoCache):
    """A cache of one value."""

    value: dict[int, bytes]

    def load(self, kind: str, key: str) -> dict[int, bytes]:
        return self.value

    def save(self, kind: str, key: str, parts: object) -> None:
        assert isinstance(parts, dict)
        self.value = parts


_NAMES = st.binary(max_size=20).map(lambda raw: raw.replace(b"\0", b"").decode("utf-8", "surrogateescape"))
_NUMBERS = st.integers(0, 2**63 - 1)


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    member = draw(_NUMBERS)
    return Entry(
        path=draw(_NAMES),
        kind=draw(st.sampled_from(Kind)),
        size_bytes=draw(_NUMBERS),
        mode=draw(st.integers(0, 0o7777)),
        uid=draw(st.integers(0, 2**32 - 2)),
        gid=draw(st.integers(0, 2**32 - 2)),
        mtime=draw(st.floats(-(2.0**40), 2.0**40)),
        target=draw(_NAMES),
        xattrs=tuple(draw(st.lists(st.tuples(_NAMES, st.binary(max_size=9)), max_size=2))),
        device=draw(st.tuples(_NUMBERS, _NUMBERS)),
        layer=3,
        member=member,
        inode=(3, member),
    )


@settings(max_examples=50, deadline=None)
@given(st.lists(entries(), max_size=5))
def test_an_index_comes_back_as_it_was(rows: list[Entry]) -> None:
    cache = Memory()
    found = Index(tar_bytes=10240, entries=tuple(rows), through_links=len(rows) % 2 == 1)
    indexes.save(cache, DIFF_ID, found)

    assert indexes.load(cache, DIFF_ID, 3) == found


def test_the_same_layer_may_have_another_number_in_another_image() -> None:
    cache = Memory()
    entry = Entry(path="/a", kind=Kind.FILE, layer=3, member=512, inode=(3, 512))
    indexes.save(cache, DIFF_ID, Index(tar_bytes=2048, entries=(entry,)))

    found = indexes.load(cache, DIFF_ID, 1)

    assert found is not None
    assert [(each.layer, each.inode) for each in found.entries] == [(1, (1, 512))]


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=50))
def test_a_damaged_value_is_as_good_as_none(value: bytes) -> None:
    cache = Memory()
    cache.value = {0: value}
    assert indexes.load(cache, DIFF_ID, 0) is None
