"""The only code that reads or writes tar: hostile input, reproducible output."""

from mlbloat.tarstream.block import BLOCK, begins
from mlbloat.tarstream.header import account, index
from mlbloat.tarstream.layer import Reader, TarBytes, TarLayer, Window, stream
from mlbloat.tarstream.limits import DEFAULT_LIMITS, LIMIT_NAMES, Budget, Limits, OverLimitError
from mlbloat.tarstream.write import archive, encode, end_of_archive, padding

__all__ = [
    "BLOCK",
    "DEFAULT_LIMITS",
    "LIMIT_NAMES",
    "Budget",
    "Limits",
    "OverLimitError",
    "Reader",
    "TarBytes",
    "TarLayer",
    "Window",
    "account",
    "archive",
    "begins",
    "encode",
    "end_of_archive",
    "index",
    "padding",
    "stream",
]
