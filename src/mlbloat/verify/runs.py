"""Hold runs on two images against each other; running is not done here: `verify` is given a function for each side."""

import re
from collections.abc import Callable, Iterator
from typing import Literal

from mlbloat import textdiff
from mlbloat.errors import RunError
from mlbloat.model.container import Outcome
from mlbloat.model.plain import plain
from mlbloat.model.report import SideReport, Verdict, VerdictRun
from mlbloat.model.step import Step, reports_of
from mlbloat.model.use import RunRecord
from mlbloat.model.workload import Exec, Expect, Request, Run, Service, Workload
from mlbloat.verify.fidelity import bounded
from mlbloat.verify.missing import Missed

_NOT_STARTED = 127
"""What a shell reports for a command that cannot be started."""

Ran = RunRecord | Outcome
Execute = Callable[[Run], Ran]


def expectation_failures(expect: Expect, ran: Ran, service: Service | None = None) -> tuple[str, ...]:
    """Return what a run did not meet of its own expectations; `same` needs a second run and is not looked at."""
    failures = []
    if isinstance(ran, Outcome) and ran.timed_out:
        failures.append(f"it did not end within {ran.seconds:.0f} seconds")
    failures += _step_failures(service, ran)
    if expect.exit is not None and ran.exit != expect.exit:
        failures.append(f"exit status is {ran.exit}, expected {expect.exit}{_killed(ran)}{_last_words(ran)}")
    for stream, pattern, output in (("stdout", expect.stdout, ran.stdout), ("stderr", expect.stderr, ran.stderr)):
        if pattern and not re.search(pattern, output.decode(errors="replace")):
            failures.append(f"nothing in {stream} matches {plain(pattern)!r}")
    return tuple(failures)


def _step_failures(service: Service | None, ran: Ran) -> Iterator[str]:
    """Yield what a service did not answer, or answered otherwise than expected."""
    for step in ran.steps:
        if step.failure:
            status = f", exit status {ran.exit}" if "ended" in step.failure else ""
            yield f"{plain(step.what)}: {plain(step.failure)}{status}{_last_log_lines(ran)}"
    for one, step in _answered(service, ran):
        if isinstance(one, Exec):
            command = Outcome(exit=step.status or 0, stdout=step.body, stderr=step.stderr, seconds=step.seconds)
            wrong = iter(expectation_failures(one.expect, command))
        else:
            wrong = _response_failures(one, step)
        yield from (f"{plain(step.what)}: {text}" for text in wrong)
    if service is not None and not ran.steps and not (isinstance(ran, Outcome) and ran.timed_out):
        yield f"it ended before anything could be asked of it{_last_log_lines(ran)}"


def _answered(service: Service | None, ran: Ran) -> Iterator[tuple[Request | Exec, Step]]:
    """Yield what was asked of a service, with the answer, as far as there is one."""
    asked: tuple[Request | Exec, ...] = () if service is None else (*service.requests, *service.exec)
    steps = (step for step in ran.steps if step.kind in ("request", "exec"))
    return ((one, step) for one, step in zip(asked, steps, strict=False) if not step.failure)


def _response_failures(request: Request, step: Step) -> Iterator[str]:
    if request.status is None and (step.status or 0) >= 400:
        yield f"status is {step.status}, expected below 400{_shown(step.body)}"
    elif request.status not in (None, step.status):
        yield f"status is {step.status}, expected {request.status}{_shown(step.body)}"
    if request.pattern and not re.search(request.pattern, step.body.decode(errors="replace")):
        yield f"nothing in the body matches {plain(request.pattern)!r}{_shown(step.body)}"


def _step_differences(service: Service | None, original: Ran, slim: Ran) -> Iterator[str]:
    """Yield the answers that had to be the same as the original's and are not."""
    for (one, was), (_, now) in zip(_answered(service, original), _answered(service, slim), strict=False):
        what = plain(now.what)
        if isinstance(one, Request):
            if one.same_body and was.body != now.body:
                yield f"{what}: body differs from the original's"
                yield from textdiff.unified(was.body, now.body)
            continue
        if "exit" in one.expect.same and was.status != now.status:
            yield f"{what}: exit status is {now.status}, the original's {was.status}"
        for stream, before, after in (("stdout", was.body, now.body), ("stderr", was.stderr, now.stderr)):
            if stream in one.expect.same and before != after:
                yield f"{what}: {stream} differs from the original's"
                yield from textdiff.unified(before, after)


def require_expectations(run: Run, record: Ran) -> None:
    """Refuse a profile run that does not meet its own expectations: what it touched is no profile of anything."""
    failures = expectation_failures(run.expect, record, run.service)
    if failures:
        raise RunError(
            f"cannot use run {plain(run.name)!r}: {'; '.join(failures)}; "
            "make it work on the original image, or correct its `expect`"
        )


def check_run(expect: Expect, original: Ran, slim: Ran, service: Service | None = None) -> tuple[str, ...]:
    """Return what the run on the slim image did not meet, and where it had to equal the original's and does not."""
    differences = [*expectation_failures(expect, slim, service), *_step_differences(service, original, slim)]
    if "exit" in expect.same and original.exit != slim.exit:
        differences.append(f"exit status is {slim.exit}, the original's {original.exit}{_last_words(slim)}")
    for stream in (name for name in expect.same if name != "exit"):
        was, now = (original.stdout, slim.stdout) if stream == "stdout" else (original.stderr, slim.stderr)
        if was != now:
            differences.append(f"{stream} differs from the original's")
            differences += textdiff.unified(was, now)
    return tuple(differences)


def verify(
    workload: Workload,
    *,
    original: Execute,
    slim: Execute,
    recorded: tuple[RunRecord, ...] = (),
    differences: tuple[str, ...] = (),
    missed: Callable[[Run], Missed] | None = None,
) -> Verdict:
    """Hold every run of a workload against both images.

    `recorded` are the profile runs on the original, so that they are not run again; `differences` is what `compare`
    found; `missed` names files of the original that a failed run on the slim image lacks.
    """
    records = {record.name: record for record in recorded}
    runs = []
    for run in workload.profile:
        record = records.get(run.name)
        was = record if record is not None and _tells_enough(record, run) else _outcome(original, run)
        runs.append(_verdict_run("profile", run, was, slim, missed))
    for run in workload.verify:
        runs.append(_verdict_run("verify", run, _outcome(original, run), slim, missed))
    return Verdict(
        passed=not differences and all(run.passed for run in runs),
        runs=tuple(runs),
        held_out=is_held_out(workload),
        differences=differences,
    )


def is_held_out(workload: Workload) -> bool:
    """Tell whether some verify run is not a profile run over again."""
    profiled = {_asked(run) for run in workload.profile}
    return any(_asked(run) not in profiled for run in workload.verify)


def _asked(run: Run) -> tuple[object, ...]:
    """What a run does: two runs of a service differ when something else is asked of it."""
    service = run.service
    asked = () if service is None else (service.requests, service.exec)
    return (run.run, run.args, run.environment, asked)


def _tells_enough(record: RunRecord, run: Run) -> bool:
    """A record from a profile file has neither output nor answers; then the run is made again."""
    if run.service is not None and not record.steps:
        return False
    streams = {"stdout": record.stdout, "stderr": record.stderr, "exit": b"known"}
    fine = not expectation_failures(run.expect, record, run.service)
    return fine and all(streams[stream] for stream in run.expect.same)


def _verdict_run(
    kind: Literal["profile", "verify"],
    run: Run,
    was: Ran,
    slim: Execute,
    missed: Callable[[Run], Missed] | None,
) -> VerdictRun:
    wrong = expectation_failures(run.expect, was, run.service)
    now = _outcome(slim, run)
    missing = Missed()
    if wrong:
        differences = tuple(f"fails on the original too: {text}" for text in wrong)
    else:
        differences = check_run(run.expect, was, now, run.service)
        if differences and missed is not None:
            missing = missed(run).by(_written(now))
            differences += tuple(missing.sentences())
    return VerdictRun(
        name=run.name,
        kind=kind,
        passed=not differences,
        original=SideReport(exit=was.exit, seconds=was.seconds, steps=reports_of(was.steps)),
        slim=SideReport(exit=now.exit, seconds=now.seconds, steps=reports_of(now.steps)),
        differences=bounded(differences),
        missing=missing.paths,
    )


def _outcome(execute: Execute, run: Run) -> Ran:
    """Run; a command that cannot be started on one of the two images is a result like any other."""
    try:
        return execute(run)
    except RunError as error:
        return Outcome(exit=_NOT_STARTED, stdout=b"", stderr=str(error).encode(), seconds=0.0)


def _written(ran: Ran) -> Iterator[bytes]:
    """Yield all that a run wrote, and what it answered."""
    yield from (ran.stdout, ran.stderr)
    yield from (stream for step in ran.steps for stream in (step.body, step.stderr))


def _killed(ran: Ran) -> str:
    """What the kernel did to a process is the better reason."""
    return "".join(f": {flag}" for flag in ran.flags if flag.startswith("a process of it was killed"))


def _last_words(ran: Ran) -> str:
    lines = [line.strip() for line in ran.stderr[-4000:].decode(errors="replace").splitlines() if line.strip()]
    return f" ({' | '.join(plain(line[:200]) for line in lines[-3:])})" if lines else ""


def _last_log_lines(ran: Ran) -> str:
    """A service may complain on either stream."""
    lines = [line.strip() for stream in (ran.stdout, ran.stderr) for line in _text_lines(stream)[-5:]]
    return f" ({' | '.join(plain(line[:200]) for line in lines if line)})" if any(lines) else ""


def _text_lines(output: bytes) -> list[str]:
    return output[-4000:].decode(errors="replace").splitlines()


def _shown(body: bytes) -> str:
    text = " ".join(body[:400].decode(errors="replace").split())
    return f" ({plain(text[:200])})" if text else ""
