"""What the report says of files that go, and of those that only caution keeps."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class SafeOnlyReport:
    """What only keep level `safe` holds, of one package or of one directory that no package owns."""

    group: str
    """Key of the package, or the directory."""
    files: int
    size_bytes: int
    reason: str
    """What leads to most of its bytes from outside the group: `may be imported by /app/train.py`."""
    largest: str
    """Its largest file."""


Risk = Literal["low", "medium", "high"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedPart:
    """One sort of what goes."""

    what: str
    risk: Risk
    files: int
    size_bytes: int
    needed_if: str
    """What would have to be true for it to be missed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskyReport:
    """Files of one sort and one package or directory that go although their like is used."""

    group: str
    """Key of the package, or the directory."""
    what: str
    risk: Risk
    files: int
    size_bytes: int
    largest: str
    """Its largest file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedReport:
    """What the keep level of the evidence removes, and how sure it is that nothing needs it."""

    files: int
    size_bytes: int
    low_risk_ratio: float | None
    """Share of the bytes that are of low risk; None when nothing goes."""
    parts: tuple[RemovedPart, ...]
    """They add up; lowest risk first, then most bytes."""
    riskiest: tuple[RiskyReport, ...]
    """Highest risk first, then most bytes."""
    advice: str
    """One sentence."""
