"""Settings: a flag wins over a `MLBLOAT_…` variable, that over `settings:` of the working directory's `mlbloat.yaml`.

The file is the one with the workload, whose other keys mean nothing here: it is run only when `workload` names it.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlbloat.errors import UsageError

FILE = Path("mlbloat.yaml")
_PREFIX = "MLBLOAT_"


def defaults(group: Any) -> dict[str, dict[str, Any]]:
    """Return what the settings give to each command of a group, by the names of its parameters.

    UsageError names a setting that no command has, or whose value is of the wrong kind.
    """
    written = _written()
    options = [(name, each) for name, command in group.commands.items() for each in _options(command)]
    known = {_setting(option): option for _, option in options}
    values = {name: _value(name, value, known) for name, value in written.items()}
    found: dict[str, dict[str, Any]] = {}
    for command, option in options:
        if _setting(option) in values:
            found.setdefault(command, {})[option.name] = values[_setting(option)]
    return found


def _written() -> Mapping[str, Any]:
    if not FILE.is_file():
        return {}
    from mlbloat import workload

    settings = workload.read(FILE).get("settings")
    if settings is None:
        return {}
    if not isinstance(settings, dict) or not all(isinstance(name, str) for name in settings):
        raise UsageError(f"cannot use {FILE}: settings is not a map of names to values, as in {{max_bloat: 30%}}")
    return settings


def _options(command: Any) -> Iterator[Any]:
    """Yield the options that have a variable: what may stand in a file is what may stand in the environment."""
    for parameter in command.params:
        if str(getattr(parameter, "envvar", None) or "").startswith(_PREFIX):
            yield parameter


def _setting(option: Any) -> str:
    return str(option.envvar).removeprefix(_PREFIX).lower()


def _value(name: str, value: Any, known: Mapping[str, Any]) -> Any:
    option = known.get(name)
    if option is None:
        raise UsageError(f"cannot use {FILE}: there is no setting {name!r}; settings are {', '.join(sorted(known))}")
    if option.is_flag:
        if isinstance(value, bool):
            return value
        raise UsageError(f"cannot use {FILE}: {name} is true or false")
    values = value if option.multiple and isinstance(value, list) else [value]
    if any(isinstance(each, bool) or not isinstance(each, str | int | float) for each in values):
        kind = "text, a number or a list of these" if option.multiple else "text or a number"
        raise UsageError(f"cannot use {FILE}: {name} is {kind}")
    return [str(each) for each in values] if option.multiple else str(value)
