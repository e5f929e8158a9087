"""What one resolver found."""

from dataclasses import dataclass

from mlbloat.model.package import Package, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    packages: tuple[Package, ...] = ()
    problems: tuple[Problem, ...] = ()
