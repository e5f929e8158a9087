"""Prove a slim image: nothing but planned deletions differs, and every run does what it did on the original."""

from mlbloat.verify.fidelity import MAX_DIFFERENCES, compare
from mlbloat.verify.missing import Missed, missing_files
from mlbloat.verify.runs import (
    check_run,
    expectation_failures,
    is_held_out,
    require_expectations,
    verify,
)

__all__ = [
    "MAX_DIFFERENCES",
    "Missed",
    "check_run",
    "compare",
    "expectation_failures",
    "is_held_out",
    "missing_files",
    "require_expectations",
    "verify",
]
