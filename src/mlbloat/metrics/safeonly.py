"""The price of safety: what keep level `safe` holds and `linked` would not, and what leads there."""

from collections.abc import Callable, Iterable, Mapping

from mlbloat.metrics.contents import Content
from mlbloat.metrics.groups import Group, largest_first
from mlbloat.model.chain import chain
from mlbloat.model.removal import SafeOnlyReport
from mlbloat.model.use import Level, Use

MAX_GROUPS = 50


def safe_only(
    contents: Iterable[Content], group_of: Callable[[str], Group], steps: Mapping[str, Use]
) -> tuple[SafeOnlyReport, ...]:
    """Sum by package and directory (`grouping`), most bytes first."""
    groups: dict[Group, list[Content]] = {}
    for content in contents:
        if content.kept_at(Level.SAFE) and not content.kept_at(Level.LINKED) and content.size_bytes:
            groups.setdefault(group_of(content.path), []).append(content)
    found = [_report(group, sorted(held, key=largest_first), group_of, steps) for group, held in groups.items()]
    return tuple(sorted(found, key=lambda each: (-each.size_bytes, each.group))[:MAX_GROUPS])


def _report(
    group: Group, held: list[Content], group_of: Callable[[str], Group], steps: Mapping[str, Use]
) -> SafeOnlyReport:
    """Name the way into the group that brings most bytes; ways inside it would explain nothing."""
    weights: dict[str, int] = {}
    for content in held:
        reason = _way_in(content.path, group, group_of, steps)
        weights[reason] = weights.get(reason, 0) + content.size_bytes
    return SafeOnlyReport(
        group=group,
        files=len(held),
        size_bytes=sum(content.size_bytes for content in held),
        reason=min(weights, key=lambda reason: (-weights[reason], reason)),
        largest=held[0].path,
    )


def _way_in(path: str, group: Group, group_of: Callable[[str], Group], steps: Mapping[str, Use]) -> str:
    """Follow the chain for as long as it stays in the group and is no stronger than `safe`."""
    reason = ""
    for use in chain(path, steps):
        if reason and (use.level < Level.SAFE or group_of(use.path) != group):
            break
        reason = f"{use.reason} {use.by}"
    return reason
