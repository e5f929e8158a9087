"""A few examples of every fuzz target; `make fuzz` spends longer on it."""

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples

from tests.fuzz.targets import TARGETS, Target, survives


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: str(target.name))
def test_nothing_but_errors_for_users_comes_out(target: Target) -> None:
    @given(target.inputs)
    @examples(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    def run(value: object) -> None:
        survives(target, value)

    run()
