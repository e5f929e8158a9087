"""The only code that reads or writes tar: hostile input, reproducible output."""

from mlbloat.tarstream.header import Limits, index
from mlbloat.tarstream.layer import TarLayer, Window
from mlbloat.tarstream.write import archive, encode, end_of_archive, padding

__all__ = ["Limits", "TarLayer", "Window", "archive", "encode", "end_of_archive", "index", "padding"]
