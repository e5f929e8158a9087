"""What one resolver found."""

from dataclasses import dataclass

from mlbloat.model.package import CachedPackage, Package, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    packages: tuple[Package, ...] = ()
    cached: tuple[CachedPackage, ...] = ()
    problems: tuple[Problem, ...] = ()
