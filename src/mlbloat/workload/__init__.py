"""Read a workload file: what to profile, what must hold afterwards (docs/workload.md)."""

import re
from pathlib import Path
from typing import Any

import msgspec
import yaml

from mlbloat.errors import UsageError
from mlbloat.model.workload import Ignore, Run, Workload
from mlbloat.workload import document, runs

MAX_BYTES = 1 << 20
"""A workload file is written by hand; more than this is some other file."""


def load(path: Path) -> Workload:
    """Read and check a workload file; UsageError names the key that is wrong and where it stands."""
    return parse(_text(path), str(path), path.absolute().parent)


def read(path: Path) -> dict[str, Any]:
    """Read a workload file's keys, unchecked."""
    written = _yaml(_text(path), str(path))
    return written if isinstance(written, dict) else {}


def parse(text: bytes, origin: str, directory: Path = Path("/")) -> Workload:
    """Turn the text of a workload file into a Workload; `origin` names it in errors.

    Relative sources of mounts lie in `directory`.
    """
    written = _yaml(text, origin)
    if written is None:
        raise UsageError(f"cannot read workload file {origin}: it is empty; give it a `profile:` list")
    try:
        file = msgspec.convert(written, document.File)
    except msgspec.ValidationError as error:
        raise UsageError(f"cannot use workload file {origin}: {_where(error)}") from error
    problem = f"cannot use workload file {origin}"
    profile, verify = (
        tuple(
            runs.run_of(each, f"{section} {number}", f"{problem}: {section}[{number - 1}]", directory)
            for number, each in enumerate(listed, 1)
        )
        for section, listed in (("profile", file.profile), ("verify", file.verify))
    )
    names = [run.name for run in (*profile, *verify)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"{problem}: two runs are named {twice!r}; give each its own name")
    return Workload(
        image=file.image,
        profile=profile,
        verify=verify,
        keep=tuple(_rule(rule, origin) for rule in file.keep),
        keep_packages=tuple(file.keep_packages),
        drop=tuple(_rule(rule, origin) for rule in file.drop),
        ignore=tuple(_ignore(entry, origin) for entry in file.ignore),
    )


def _text(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            text = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read workload file {path}: {error.strerror}; check the path given to -w") from error
    if len(text) > MAX_BYTES:
        raise UsageError(f"cannot read workload file {path}: larger than 1 MiB; is this a YAML workload file?")
    return text


def _yaml(text: bytes, origin: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise UsageError(f"cannot read workload file {origin}: not YAML: {_one_line(error)}; fix that line") from error


def command(argv: tuple[str, ...], timeout_seconds: float = 300.0) -> Workload:
    """The workload of `-- CMD…` on the command line: one profile run that must exit with 0."""
    return Workload(profile=(Run(name=" ".join(argv)[:60], run=argv, timeout_seconds=timeout_seconds),))


def _rule(rule: str, origin: str) -> str:
    if not rule.startswith("/"):
        raise UsageError(f"cannot use workload file {origin}: rule {rule!r} must start with /, as in /opt/app/**")
    return rule


def _ignore(entry: document.Ignore, origin: str) -> Ignore:
    if not entry.reason.strip():
        raise UsageError(f"cannot use workload file {origin}: ignoring {entry.rule} has no reason; say why")
    return Ignore(rule=entry.rule, reason=entry.reason.strip(), path=entry.path, until=entry.until)


_PLAIN_TYPES = {
    "object": "a mapping",
    "array": "a list",
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "null": "nothing",
}
_TYPE = "|".join(_PLAIN_TYPES)
_TYPES = re.compile(rf"`((?:{_TYPE})(?: \| (?:{_TYPE}))*)`")
"""What msgspec calls the kinds of values, for a reader of YAML."""


def _where(error: msgspec.ValidationError) -> str:
    """msgspec says "… - at `$.profile[0].expect`": put the place first and list the keys that are known there."""
    text, _, place = str(error).partition(" - at `$")
    place = place.strip("`.").replace("key in ", "") or "the top level"
    text = _TYPES.sub(lambda found: " or ".join(_PLAIN_TYPES[kind] for kind in found[1].split(" | ")), text)
    hint = f"; known keys: {', '.join(document.keys_at(place))}" if "unknown field" in text else "; correct it"
    return f"{place}: {text[0].lower()}{text[1:]}{hint}"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
