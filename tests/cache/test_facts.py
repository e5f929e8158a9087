"""What was learnt in this run is known, before it is saved and also where nothing is saved."""

from mlbloat.cache import NoCache
from mlbloat.cache.facts import Facts
from tests.support.caches import MemoryCache

KEY = ("sha256:1", 512)


def test_what_was_learnt_is_not_learnt_again() -> None:
    facts = Facts(NoCache(), "kind/1", str)
    assert (facts.get(KEY), facts.has(KEY)) == (None, False)
    facts.put(KEY, "learnt")
    assert (facts.get(KEY), facts.has(KEY)) == ("learnt", True)
    other = (KEY[0], 1024)
    assert facts.put_encoded(other, b"\xa5there") == facts.get(other) == "there"


def test_what_is_learnt_anew_is_believed_before_what_was_kept() -> None:
    cache = MemoryCache()
    cache.save("kind/1", KEY[0], {KEY[1]: b"\xc1"})
    facts = Facts(cache, "kind/1", str)
    assert (facts.get(KEY), facts.has(KEY)) == (None, True)  # a damaged value
    facts.put(KEY, "learnt")
    assert facts.get(KEY) == "learnt"


def test_a_content_without_a_key_is_never_known() -> None:
    facts = Facts(NoCache(), "kind/1", str)
    facts.put(None, "x")
    assert (facts.get(None), facts.has(None)) == (None, False)
