"""conda: `conda-meta/NAME.json` loses the files that are gone, a package that is gone its record.

https://docs.conda.io/projects/conda/en/stable/dev-guide/specs/prefix-records.html
conda-pack and `conda verify` fail on files that a record lists and that are not there.
"""

import hashlib
import json
import posixpath
from collections.abc import Mapping
from typing import Any

from mlbloat.model.package import Manager, Package
from mlbloat.slim.databases.left import Cut, Left, coded

MANAGER = Manager.CONDA


def cut(packages: tuple[Package, ...], stay: frozenset[str], left: Left, changed: Mapping[str, bytes]) -> Cut:
    """Cut the records of conda packages."""
    removed: set[str] = set()
    rewritten: dict[str, bytes] = {}
    for package in packages:
        if package.key not in stay:
            removed.update(path for path in package.database if path in left.kept)
            continue
        for path in filter(left.free, package.database):
            rewritten[path] = _record(left.read(path), package.location, left, changed)
    return Cut(removed=frozenset(removed), rewritten=rewritten)


def _record(text: str, prefix: str, left: Left, changed: Mapping[str, bytes]) -> bytes:
    record = json.loads(text)
    before = json.dumps(record)
    if isinstance(record.get("files"), list):
        record["files"] = [path for path in record["files"] if not left.lost(_absolute(prefix, path))]
    paths = record.get("paths_data")
    if isinstance(paths, dict) and isinstance(paths.get("paths"), list):
        listed = [each for each in paths["paths"] if not left.lost(_absolute(prefix, each.get("_path", "")))]
        paths["paths"] = [_summed(each, changed.get(_absolute(prefix, each.get("_path", "")))) for each in listed]
    if json.dumps(record) == before:
        return coded(text)
    return coded(json.dumps(record, indent=2, sort_keys=True) + "\n")


def _summed(each: dict[str, Any], content: bytes | None) -> dict[str, Any]:
    """Say size and digest of what was rewritten."""
    if content is None:
        return each
    new = {"size_in_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    new["sha256_in_prefix"] = new["sha256"]
    return {name: new.get(name, value) for name, value in each.items()}


def _absolute(prefix: str, path: object) -> str:
    return "/" + posixpath.normpath(posixpath.join(prefix, str(path))).lstrip("/")
