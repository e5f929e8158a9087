"""What reading images taught, kept between runs: indexes of layers and facts about files."""

from mlbloat.cache.facts import Facts
from mlbloat.cache.store import Cache, Kept, NoCache, Store, default_directory, open_store

__all__ = ["Cache", "Facts", "Kept", "NoCache", "Store", "default_directory", "open_store"]
