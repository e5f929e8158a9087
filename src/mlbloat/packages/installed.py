"""What one resolver found."""

from dataclasses import dataclass

from mlbloat.model.package import Package


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    packages: tuple[Package, ...] = ()
    problems: tuple[str, ...] = ()
    """Sentences that name the file that could not be read and say what follows from it."""
