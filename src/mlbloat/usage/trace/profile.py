"""Recorded runs as a file, so that a workload need not run again.

Format history: 1, first. `accesses` are [action, path] in the order of first use; a path that is not UTF-8 is written
as [action, base64 of its bytes, true]. Text above 1 MiB is compressed by gzip.
2: `phases` are [phase, number of the first access that is new in it], in the order of time.
What a run printed is not kept: it may be large, and it may be secret.
"""

import base64
import gzip
import os
import zlib
from pathlib import Path
from typing import Annotated, Any

import msgspec

from mlbloat.errors import UsageError
from mlbloat.model.use import Access, Action, Origin, Phase, RunRecord

KIND = "mlbloat.profile"
FORMAT = 2
_READABLE = (1, 2)
_LIMIT_BYTES = 1 << 30
_LARGE_BYTES = 1 << 20
_GZIP = b"\x1f\x8b"
SCHEMA_FILE = Path(__file__).with_name("profile.json")


class _Access(msgspec.Struct, array_like=True, omit_defaults=True):
    action: Action
    path: str
    encoded: bool = False


class _Image(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    id: str
    diff_ids: tuple[str, ...]


class _Run(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: str
    engine: str
    tracer: str
    seconds: float
    exit: int
    flags: tuple[str, ...] = ()
    gpus: tuple[str, ...] = ()
    image: _Image | None = None
    accesses: tuple[_Access, ...] = ()
    phases: tuple[tuple[Phase, Annotated[int, msgspec.Meta(ge=0)]], ...] = ()


class _Profile(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    kind: str
    format: int
    runs: tuple[_Run, ...]


class _Head(msgspec.Struct):
    kind: str = ""
    format: int = 0


def profile_file(records: tuple[RunRecord, ...]) -> bytes:
    """Return the content of a profile file: text, and when it is large, compressed text."""
    content = profile_text(records).encode()
    return gzip.compress(content, mtime=0) if len(content) > _LARGE_BYTES else content


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a profile."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(_Profile)}


def profile_text(records: tuple[RunRecord, ...]) -> str:
    """Return the text of a profile file."""
    profile = _Profile(kind=KIND, format=FORMAT, runs=tuple(_saved(record) for record in records))
    return msgspec.json.format(msgspec.json.encode(profile), indent=1).decode() + "\n"


def load_profile(path: Path) -> tuple[RunRecord, ...]:
    """Read a profile file; UsageError when it is none."""
    content = _content(path)
    try:
        head = msgspec.json.decode(content, type=_Head)
        if head.kind != KIND:
            raise UsageError(f"cannot use {path} as a profile: it is none; record one with mlbloat trace")
        if head.format not in _READABLE:
            known = " and ".join(map(str, _READABLE))
            raise UsageError(
                f"cannot use profile {path}: its format is {head.format}, this mlbloat reads {known}; record it again"
            )
        profile = msgspec.json.decode(content, type=_Profile)
        return tuple(_loaded(run) for run in profile.runs)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise UsageError(f"cannot use {path} as a profile: {error}; record one with mlbloat trace") from error


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            head = stream.read(2)
            stream.seek(0)
            content = (gzip.GzipFile(fileobj=stream) if head == _GZIP else stream).read(_LIMIT_BYTES + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UsageError(f"cannot use {path} as a profile: {error}; record one with mlbloat trace") from error
    except OSError as error:
        raise UsageError(f"cannot read profile {path}: {error.strerror}; record one with mlbloat trace") from error
    if len(content) > _LIMIT_BYTES:
        raise UsageError(f"cannot use {path} as a profile: it is larger than 1 GiB; record one with mlbloat trace")
    return content


def _saved(record: RunRecord) -> _Run:
    return _Run(
        name=record.name,
        engine=record.engine,
        tracer=record.tracer,
        seconds=record.seconds,
        exit=record.exit,
        flags=record.flags,
        gpus=record.gpus,
        image=None if record.origin is None else _Image(id=record.origin.id, diff_ids=record.origin.diff_ids),
        accesses=tuple(_saved_access(access) for access in record.accesses),
        phases=record.phases,
    )


def _saved_access(access: Access) -> _Access:
    try:
        access.path.encode()
    except UnicodeEncodeError:
        return _Access(access.action, base64.b64encode(os.fsencode(access.path)).decode(), True)
    return _Access(access.action, access.path)


def _loaded(run: _Run) -> RunRecord:
    return RunRecord(
        name=run.name,
        engine=run.engine,
        tracer=run.tracer,
        seconds=run.seconds,
        exit=run.exit,
        stdout=b"",
        stderr=b"",
        flags=run.flags,
        gpus=run.gpus,
        origin=None if run.image is None else Origin(id=run.image.id, diff_ids=run.image.diff_ids),
        accesses=tuple(_loaded_access(access) for access in run.accesses),
        phases=run.phases,
    )


def _loaded_access(access: _Access) -> Access:
    path = os.fsdecode(base64.b64decode(access.path, validate=True)) if access.encoded else access.path
    return Access(path, access.action)
