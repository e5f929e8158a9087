"""`mlbloat trace --attach`: the profile of a container that runs already."""

from pathlib import Path

from mlbloat.cli.talk import Talker


def record(name: str, seconds: float | None, earlier: list[Path], talker: Talker) -> bytes:
    """Record until the time is over or Ctrl-C; return a profile file, after the runs of earlier ones."""
    from mlbloat.usage import trace as tracing

    kept = tuple(each for path in earlier for each in tracing.load_profile(path))
    return tracing.profile_file((*kept, tracing.attach(name, seconds, talker.tell)))
