"""Errors are for users: one tree, one exit code per cause, the same text everywhere."""

import pickle
import re
from pathlib import Path

import pytest

from mlbloat import errors
from mlbloat.errors import MlbloatError

CLASSES = [found for found in vars(errors).values() if isinstance(found, type) and issubclass(found, MlbloatError)]
CODES = {
    "MlbloatError": 1,
    "BadImageError": 1,
    "RunError": 1,
    "EngineError": 1,
    "PublishError": 1,
    "UsageError": 2,
    "GateError": 3,
    "ImageNotFoundError": 4,
    "VerificationError": 5,
}


def test_every_cause_has_its_exit_code() -> None:
    assert {found.__name__: found.exit_code for found in CLASSES} == CODES


@pytest.mark.parametrize("found", CLASSES)
def test_an_error_prints_the_same_after_pickling(found: type[MlbloatError]) -> None:
    error = pickle.loads(pickle.dumps(found("cannot read a: no; do b")))
    assert (type(error), str(error)) == (found, "cannot read a: no; do b")


def test_the_documentation_lists_every_exit_code() -> None:
    text = (Path(__file__).parents[1] / "docs" / "exit-codes.md").read_text()
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    assert listed == {0, *CODES.values(), 130}
