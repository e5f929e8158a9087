"""The real syft, from its wheel: what it finds in an image, in this project's words."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from mlbloat.model.package import Inventory
from tests.support.engines import program

TYPES = {"deb": "apt", "python": "pip", "conda": "conda", "apk": "apk", "rpm": "rpm", "npm": "npm"}
Found = set[tuple[str, str, str]]
"""Manager, name and version."""


@dataclass(frozen=True, slots=True)
class Artifact:
    identity: tuple[str, str, str]
    path: str
    """The first file that told syft of it."""


def artifacts(image: Path) -> list[Artifact]:
    """What syft finds in a `docker save` archive, of the managers that both know."""
    environment = {**os.environ, "SYFT_CHECK_FOR_APP_UPDATE": "false"}
    beside = Path(sys.executable).with_name("syft")  # where pip puts it, in the PATH or not
    found = str(beside) if beside.exists() else program("syft")
    command = [found, "scan", f"docker-archive:{image}", "-o", "json", "-q"]
    ended = subprocess.run(command, capture_output=True, env=environment, timeout=600, check=True)
    return [_artifact(each) for each in json.loads(ended.stdout)["artifacts"] if each["type"] in TYPES]


def _artifact(found: dict[str, Any]) -> Artifact:
    manager = TYPES[found["type"]]
    path = found["locations"][0]["path"] if found["locations"] else ""
    return Artifact((manager, _name(manager, found["name"]), found["version"]), path)


def identities(inventory: Inventory) -> Found:
    return {(str(each.manager), _name(str(each.manager), each.name), each.version) for each in inventory.packages}


def _name(manager: str, name: str) -> str:
    """Syft has the architecture beside the name, and Python names as they are written."""
    return normalised(name) if manager == "pip" else name.partition(":")[0]


def normalised(name: str) -> str:
    return str(canonicalize_name(name))


def tar_of(root: Path) -> bytes:
    """One layer with all of a directory."""
    command = ["tar", "--create", "--one-file-system", "--numeric-owner", "--directory", str(root), "--file", "-", "."]
    return subprocess.run(command, capture_output=True, check=True, timeout=600).stdout
