"""One run of a workload file: what it starts, under which conditions, and what must come of it."""

from pathlib import Path

from mlbloat.errors import UsageError
from mlbloat.model.workload import Run
from mlbloat.workload import document, expectations
from mlbloat.workload.conditions import conditions_of
from mlbloat.workload.services import service_of


def run_of(run: document.Run, default_name: str, problem: str, directory: Path) -> Run:
    """Check a run and turn it into a value; `problem` begins every error, mounts are relative to `directory`."""
    _check_command(run, problem)
    service = service_of(run, problem)
    return Run(
        name=run.name or default_name,
        run=None if run.run is None else tuple(run.run),
        args=None if run.args is None else tuple(run.args),
        environment=tuple((name, _text(value)) for name, value in run.env.items()),
        timeout_seconds=expectations.seconds(run.timeout_seconds, problem),
        expect=expectations.expect_of(run.expect, problem, service=service is not None),
        service=service,
        conditions=conditions_of(run, problem, directory),
    )


def _check_command(run: document.Run, problem: str) -> None:
    if run.run is not None and run.args is not None:
        raise UsageError(f"{problem} has both `run` and `args`; `run` is the whole command line: keep one")
    if run.run == [] or (run.run and not run.run[0]):
        raise UsageError(f"{problem} has an empty `run`; give a command, or remove it to run the image's own")


def _text(value: str | float | bool) -> str:
    """A YAML scalar as the shell would see it: `on` and `1` are not what `True` and `1.0` are."""
    return str(value).lower() if isinstance(value, bool) else str(value)
