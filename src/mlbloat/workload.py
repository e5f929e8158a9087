"""Read a workload file: what to profile, what must hold afterwards (docs/workload.md)."""

import datetime
import re
from pathlib import Path
from typing import Any

import msgspec
import yaml

from mlbloat.errors import UsageError
from mlbloat.model.workload import Expect, Ignore, Run, Workload

MAX_BYTES = 1 << 20
"""A workload file is written by hand; more than this is some other file."""


class _Expect(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    exit: int | None = 0
    stdout: str = ""
    stderr: str = ""
    same: str | list[str] = msgspec.field(default_factory=list)


class _Run(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    name: str = ""
    run: list[str] | None = None
    args: list[str] | None = None
    env: dict[str, str | int | float | bool] = msgspec.field(default_factory=dict)
    mounts: list[str] = msgspec.field(default_factory=list)
    gpus: str | int | list[str] = "none"
    network: str = "none"
    timeout_seconds: float = 300.0
    expect: _Expect = _Expect()
    ready: dict[str, Any] | None = None
    requests: list[dict[str, Any]] | None = None
    exec: list[dict[str, Any]] | None = None
    stop: dict[str, Any] | None = None


class _Ignore(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    rule: str
    reason: str
    path: str = ""
    until: datetime.date | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    image: str = ""
    profile: list[_Run] = msgspec.field(default_factory=list)
    verify: list[_Run] = msgspec.field(default_factory=list)
    keep: list[str] = msgspec.field(default_factory=list)
    drop: list[str] = msgspec.field(default_factory=list)
    ignore: list[_Ignore] = msgspec.field(default_factory=list)


def load(path: Path) -> Workload:
    """Read and check a workload file; UsageError names the key that is wrong and where it stands."""
    try:
        with path.open("rb") as stream:
            text = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read workload file {path}: {error.strerror}; check the path given to -w") from error
    if len(text) > MAX_BYTES:
        raise UsageError(f"cannot read workload file {path}: larger than 1 MiB; is this a YAML workload file?")
    return parse(text, str(path))


def parse(text: bytes, origin: str) -> Workload:
    """Turn the text of a workload file into a Workload; `origin` names it in errors."""
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise UsageError(f"cannot read workload file {origin}: not YAML: {_one_line(error)}; fix that line") from error
    if document is None:
        raise UsageError(f"cannot read workload file {origin}: it is empty; give it a `profile:` list")
    try:
        file = msgspec.convert(document, _File)
    except msgspec.ValidationError as error:
        raise UsageError(f"cannot use workload file {origin}: {_where(error)}") from error
    for section, runs in (("profile", file.profile), ("verify", file.verify)):
        for index, run in enumerate(runs):
            _refuse_unsupported(run, f"{section}[{index}]", origin)
    profile = tuple(_run(run, f"profile {number}") for number, run in enumerate(file.profile, 1))
    verify = tuple(_run(run, f"verify {number}") for number, run in enumerate(file.verify, 1))
    names = [run.name for run in (*profile, *verify)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"cannot use workload file {origin}: two runs are named {twice!r}; give each its own name")
    return Workload(
        image=file.image,
        profile=profile,
        verify=verify,
        keep=tuple(_rule(rule, origin) for rule in file.keep),
        drop=tuple(_rule(rule, origin) for rule in file.drop),
        ignore=tuple(_ignore(entry, origin) for entry in file.ignore),
    )


def command(argv: tuple[str, ...], timeout_seconds: float = 300.0) -> Workload:
    """The workload of `-- CMD…` on the command line: one profile run that must exit with 0."""
    return Workload(profile=(Run(name=" ".join(argv)[:60], run=argv, timeout_seconds=timeout_seconds),))


def _run(run: _Run, default_name: str) -> Run:
    same = (run.expect.same,) if isinstance(run.expect.same, str) else tuple(run.expect.same)
    return Run(
        name=run.name or default_name,
        run=None if run.run is None else tuple(run.run),
        args=None if run.args is None else tuple(run.args),
        environment=tuple((name, _text(value)) for name, value in run.env.items()),
        timeout_seconds=run.timeout_seconds,
        expect=Expect(exit=run.expect.exit, stdout=run.expect.stdout, stderr=run.expect.stderr, same=same),
    )


def _text(value: str | float | bool) -> str:
    """A YAML scalar as the shell would see it: `on` and `1` are not what `True` and `1.0` are."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _rule(rule: str, origin: str) -> str:
    if not rule.startswith("/"):
        raise UsageError(f"cannot use workload file {origin}: rule {rule!r} must start with /, as in /opt/app/**")
    return rule


def _ignore(entry: _Ignore, origin: str) -> Ignore:
    if not entry.reason.strip():
        raise UsageError(f"cannot use workload file {origin}: ignoring {entry.rule} has no reason; say why")
    return Ignore(rule=entry.rule, reason=entry.reason.strip(), path=entry.path, until=entry.until)


def _refuse_unsupported(run: _Run, where: str, origin: str) -> None:
    problem = f"cannot use workload file {origin}: {where}"
    for key in ("ready", "requests", "exec", "stop"):
        if getattr(run, key) is not None:
            raise UsageError(f"{problem} has `{key}`, and services do not work yet; use a run that ends by itself")
    if run.mounts:
        raise UsageError(f"{problem} has `mounts`, which do not work yet; copy the data into the image instead")
    if run.network != "none":
        raise UsageError(f"{problem} asks for `network: {run.network}`; only `none` works yet: remove the line")
    if run.gpus not in ("none", 0, []):
        raise UsageError(f"{problem} asks for `gpus: {run.gpus}`; only `none` works yet: remove the line")
    if run.run is not None and run.args is not None:
        raise UsageError(f"{problem} has both `run` and `args`; `run` is the whole command line: keep one")
    if run.run == [] or (run.run and not run.run[0]):
        raise UsageError(f"{problem} has an empty `run`; give a command, or remove it to run the image's own")
    if not 0 < run.timeout_seconds < float("inf"):
        raise UsageError(f"{problem} has `timeout_seconds: {run.timeout_seconds}`; give a number above 0")
    _check_expect(run.expect, problem)


def _check_expect(expect: _Expect, problem: str) -> None:
    # Before the first run: a typing error here must not come to light after an hour of training.
    for stream in ("stdout", "stderr"):
        try:
            re.compile(getattr(expect, stream))
        except re.error as error:
            raise UsageError(f"{problem} expects {stream} by a wrong regular expression: {error}; fix it") from error
    wrong = {expect.same} if isinstance(expect.same, str) else set(expect.same)
    if not wrong <= {"stdout", "stderr"}:
        raise UsageError(f"{problem} has `same: {expect.same}`; it takes stdout, stderr or a list of both")


def _where(error: msgspec.ValidationError) -> str:
    """msgspec says "… - at `$.profile[0].expect`": put the place first and list the keys that are known there."""
    text, _, place = str(error).partition(" - at `$")
    place = place.strip("`.").replace("key in ", "") or "the top level"
    known: type[msgspec.Struct] = _File if place == "the top level" else _Run
    known = _Expect if place.endswith("expect") else _Ignore if place.startswith("ignore") else known
    hint = f"; known keys: {', '.join(known.__struct_fields__)}" if "unknown field" in text else "; correct it"
    return f"{place}: {text[0].lower()}{text[1:]}{hint}"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
