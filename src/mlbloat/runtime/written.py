"""What a run changed of the image, as the upper layer of its overlay has it."""

import os
import stat
from collections.abc import Iterator

_MOST = 20_000
"""Entries that are looked at."""
_OURS = frozenset({"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"})


def flags(upper: str, rootfs: str) -> tuple[str, ...]:
    """Say how many files of the image a run changed or deleted; nothing when there is no upper layer."""
    changed = sorted(path for path in _entries(upper) if path not in _OURS and os.path.lexists(rootfs + path))
    if not changed:
        return ()
    return (
        f"it changed or deleted {len(changed)} files of the image, such as {changed[0]}: that is thrown away, and the "
        "slim image has them as they were; mount a directory where it has to last",
    )


def _entries(upper: str) -> Iterator[str]:
    """Yield files, links and whiteouts. Links of the run are never followed."""
    seen = 0
    for here, _, names in os.walk(upper):
        for name in names:
            seen += 1
            if seen > _MOST:
                return
            path = os.path.join(here, name)
            kind = os.lstat(path).st_mode
            if stat.S_ISREG(kind) or stat.S_ISLNK(kind) or stat.S_ISCHR(kind):
                yield path.removeprefix(upper)
