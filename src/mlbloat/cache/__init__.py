"""What reading images taught, kept between runs: indexes of layers and facts about files."""

from mlbloat.cache.contents import remembered
from mlbloat.cache.facts import Facts
from mlbloat.cache.store import FILE_NAME, Cache, Kept, NoCache, Store, default_directory, open_store, usual_directory

__all__ = [
    "FILE_NAME",
    "Cache",
    "Facts",
    "Kept",
    "NoCache",
    "Store",
    "default_directory",
    "open_store",
    "remembered",
    "usual_directory",
]
