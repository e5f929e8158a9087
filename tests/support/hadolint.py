"""The real hadolint, from its wheel or the PATH."""

import subprocess
import sys
from pathlib import Path

from tests.support import engines


def said(dockerfile: str) -> tuple[int, str]:
    """Return how it ends and what it says of a Dockerfile."""
    beside = Path(sys.executable).with_name("hadolint")
    program = str(beside) if beside.exists() else engines.program("hadolint")
    # Names in an image are bytes, which need not be text.
    content = dockerfile.encode("utf-8", "surrogateescape")
    done = subprocess.run((program, "--no-color", "-"), input=content, capture_output=True)
    return done.returncode, done.stdout.decode("utf-8", "replace")
