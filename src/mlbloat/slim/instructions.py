"""An image's configuration as instructions of a Dockerfile, as far as they can say it.

https://github.com/moby/docker-image-spec/blob/v1.3.1/spec.md
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

HADOLINT = "# hadolint global ignore=DL3002,DL3025,DL3048,DL3059,DL3066,DL3067"
"""Files of any owner are removed as root, step by step, the whole tree is copied, and the original's own words stay."""
_UNNAMED = "original:image"
"""Stands for an original that no registry or engine knows."""
_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*")
_PLAIN = re.compile(r"[A-Za-z0-9_./+,:@%=-]+")


def base_name(base: str) -> str:
    """Return what FROM takes for an original of that name; a stand-in where it has none that it takes."""
    return base if _REFERENCE.fullmatch(base) else _UNNAMED


def instructions(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield one instruction for each field of a configuration; `sayable` tells which of them a Dockerfile can hold."""
    for setting in config.get("Env") or ():
        name, _, value = str(setting).partition("=")
        yield f"ENV {name}={_quoted(value)}"
    for name, value in (config.get("Labels") or {}).items():
        yield f"LABEL {_quoted(name)}={_quoted(value)}"
    if shell := config.get("Shell"):
        yield f"SHELL {exec_form(shell)}"
    if directory := config.get("WorkingDir"):
        yield f"WORKDIR {_word(directory)}"
    for port in sorted(config.get("ExposedPorts") or {}):
        yield f"EXPOSE {port}"
    if volumes := sorted(config.get("Volumes") or {}):
        yield f"VOLUME {exec_form([_unexpanded(volume) for volume in volumes])}"
    yield from _health_check(config.get("Healthcheck") or {})
    if signal := config.get("StopSignal"):
        yield f"STOPSIGNAL {signal}"
    for trigger in config.get("OnBuild") or ():
        yield f"ONBUILD {trigger}"
    if user := config.get("User"):
        yield f"USER {_word(user)}"
    if entrypoint := config.get("Entrypoint"):
        yield f"ENTRYPOINT {exec_form(entrypoint)}"
    if command := config.get("Cmd"):
        yield f"CMD {exec_form(command)}"


def _health_check(check: Mapping[str, Any]) -> Iterator[str]:
    test = check.get("Test") or ()
    if not test:
        return
    if test[0] == "NONE":
        yield "HEALTHCHECK NONE"
        return
    options = [
        f"--{option}={_duration(check[field])}"
        for option, field in (
            ("interval", "Interval"),
            ("timeout", "Timeout"),
            ("start-period", "StartPeriod"),
            ("start-interval", "StartInterval"),
        )
        if check.get(field)
    ]
    if retries := check.get("Retries"):
        options.append(f"--retries={retries}")
    command = " ".join(test[1:]) if test[0] == "CMD-SHELL" else exec_form(test[1:])
    yield " ".join(("HEALTHCHECK", *options, "CMD", command))


def _duration(nanoseconds: int) -> str:
    """Write a duration as Go's time.ParseDuration reads it, in the largest unit that divides it."""
    for unit, size in (("s", 10**9), ("ms", 10**6)):
        if nanoseconds % size == 0:
            return f"{nanoseconds // size}{unit}"
    return f"{nanoseconds}ns"


def sayable(line: str) -> bool:
    """An instruction is one line; a backslash at its end would swallow the next one."""
    return not re.search(r"[\r\n]|\\\s*$", line) and not re.match(r"ENV [^=]*[\s\"'$\\]", line)


def _word(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else _quoted(text)


def _quoted(text: str) -> str:
    """Quote as the Dockerfile's own word expansion undoes it: only these three characters are special in quotes."""
    return '"' + re.sub(r'([\\"$])', r"\\\1", text) + '"'


def _unexpanded(text: str) -> str:
    return re.sub(r"([\\\"'$])", r"\\\1", text)


def shell_word(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else "'" + text.replace("'", "'\\''") + "'"


def exec_form(words: list[str]) -> str:
    return json.dumps(list(words), ensure_ascii=False)
