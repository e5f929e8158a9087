"""ELF files: what they cannot load without, and what they may load, open or run."""

from mlbloat.usage.elf.reader import ElfReader

__all__ = ["ElfReader"]
