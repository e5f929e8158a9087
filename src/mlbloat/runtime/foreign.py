"""What the engines have in common whose containers somebody else starts."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Literal

from mlbloat.model.container import Container, Outcome
from mlbloat.runtime import process
from mlbloat.runtime.embedded import spec_of
from mlbloat.runtime.listener import Listener
from mlbloat.runtime.runc import refuse_unexecuted

NOT_ROOT = "it needs root, to watch the container's file system and to keep the owners of its files; run as root"


def is_root() -> bool:
    return os.geteuid() == 0


def run(
    engine: Literal["docker", "podman"],
    container: Container,
    rootfs: Path,
    scratch: Path,
    listener: Listener | None,
    *,
    program: str = "",
    host: str = "",
    disk: str = "",
) -> Outcome:
    """Let a launcher order a container from an engine, over the files of `rootfs`."""
    directory = tempfile.mkdtemp(prefix="run-", dir=scratch.absolute())
    spec = spec_of(container, rootfs, directory, listener)
    spec |= {"engine": engine, "program": program, "host": host, "search": [path for path in sys.path if path]}
    spec["disks"] += [disk] if os.path.isdir(disk) else []
    return refuse_unexecuted(container, process.launch(spec, container, listener))
