"""Code for GPUs inside a file, and what of it a GPU loads."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mlbloat.model.gpuarch import OTHER, gpu_of, parse, runs


@dataclass(frozen=True, slots=True)
class Part:
    """All code of one name, as stored: headers and compressed code."""

    name: str
    """`model/gpuarch.py` says which there are."""
    size_bytes: int
    entries: int


@dataclass(frozen=True, slots=True)
class Choice:
    """The same code for several GPUs; containers that offer the same are added up."""

    driver: bool
    """The driver chooses among the parts: the best machine code, or else what it can compile. Otherwise the library
    chooses by its own rules, and all that a GPU runs may be needed."""
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """Of one file."""

    choices: tuple[Choice, ...] = ()

    @property
    def size_bytes(self) -> int:
        return sum(part.size_bytes for choice in self.choices for part in choice.parts)


@dataclass(frozen=True, slots=True)
class Census:
    """Of an image."""

    files: Mapping[tuple[int, int], DeviceCode]
    """By inode; only those that have any."""
    gpus: tuple[str, ...] = ()
    """What the image is meant to run on; empty when nobody said it."""


NO_DEVICE_CODE = Census({})
_NAMED = 8
"""Names in a sentence."""


def by_name(codes: Iterable[DeviceCode]) -> dict[str, Part]:
    """Add up by name, most bytes first."""
    sums: dict[str, tuple[int, int]] = {}
    for part in (part for code in codes for choice in code.choices for part in choice.parts):
        size_bytes, entries = sums.get(part.name, (0, 0))
        sums[part.name] = (size_bytes + part.size_bytes, entries + part.entries)
    ranked = sorted(sums, key=lambda name: (-sums[name][0], name))
    return {name: Part(name, *sums[name]) for name in ranked}


def sentence(file_bytes: int, code_bytes: int, sums: Mapping[str, int]) -> str:
    """What a file holds, its largest parts by name."""
    names = list(sums)[:_NAMED]
    shown = ", ".join(f"{name} {sums[name]}" for name in names)
    more = f" and {len(sums) - _NAMED} more" if len(sums) > _NAMED else ""
    return f"{code_bytes} of its {file_bytes} bytes are code for GPUs: {shown}{more}"


def gpus_of(codes: Iterable[DeviceCode]) -> tuple[str, ...]:
    """Return the GPUs that there is machine code for."""
    names = (parse(name) for name in by_name(codes))
    numbers = {code.number for code in names if code.form == "sm"}
    processors = {code.processor for code in map(parse, by_name(codes)) if gpu_of(code.processor)}
    return (*(f"sm_{number}" for number in sorted(numbers)), *sorted(processors))


def loaded_bytes(codes: Iterable[DeviceCode], gpus: Sequence[str]) -> int:
    """Return the bytes that one of these GPUs loads when everything is used: the rest is for other GPUs."""
    total = 0
    for choice in (choice for code in codes for choice in code.choices):
        loaded = {name for gpu in gpus for name in _loaded(choice, gpu)}
        total += sum(part.size_bytes for part in choice.parts if part.name in loaded)
    return total


def _loaded(choice: Choice, gpu: str) -> list[str]:
    names = [part.name for part in choice.parts]
    if OTHER in names:
        return names
    able = [name for name in names if runs(name, gpu)]
    machine = [parse(name).number for name in able if parse(name).form == "sm"]
    if not choice.driver or not machine:
        return able
    return [
        name
        for name in able
        if (code := parse(name)).form not in {"sm", "ptx"} or (code.form == "sm" and code.number == max(machine))
    ]
