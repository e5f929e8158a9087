"""From a kept file back to the run, command or convention where its evidence begins."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence

from mlbloat.model.mark import Mark
from mlbloat.model.use import Reason, Use

CONFIGURATION = "configuration in /etc"
"""A convention that keeps its own files and is no root of reach."""


def next_steps(marks: Sequence[Mark]) -> dict[str, Use]:
    """Map each kept path to the use that begins its shortest way back; two files may need each other.

    Only uses of the file's own level or stronger are followed, the strongest first among ways of the same length. A
    path that is kept by a rule alone has that rule.
    """
    marked = {mark.path for mark in marks}
    steps: dict[str, Use] = {}
    led_to: dict[str, list[tuple[str, Use]]] = {}
    for mark in marks:
        level, path = mark.level, mark.path
        if level is None:
            continue
        for use in mark.uses:
            if use.level > level or is_end(use):
                continue
            if use.by in marked:
                led_to.setdefault(use.by, []).append((path, use))
            else:
                steps.setdefault(path, use)
    waiting = deque(steps)
    while waiting:
        for path, use in led_to.get(waiting.popleft(), ()):
            if path not in steps:
                steps[path] = use
                waiting.append(path)
    for mark in marks:
        if mark.level is not None and mark.uses and mark.path not in steps:
            steps[mark.path] = next((use for use in mark.uses if use.pinned), mark.uses[0])
    return steps


def chain(path: str, steps: Mapping[str, Use]) -> Iterator[Use]:
    """Walk from a path to its root."""
    seen: set[str] = set()
    while path in steps and path not in seen:
        seen.add(path)
        yield steps[path]
        path = steps[path].by


def is_end(use: Use) -> bool:
    """Tell whether a use keeps its own file only: what is kept by a rule is no root of reach."""
    return (use.pinned and use.reason is not Reason.LISTED) or use.by == CONFIGURATION


def sentence(use: Use) -> str:
    """`/lib/a.so (safe): may be loaded by /bin/y`."""
    level = "pinned" if use.pinned else use.level.label
    return f"{use.path} ({level}): {use.reason} {use.by}"
