"""The whole report of a question that was asked before: the same image, evidence, options and program.

A scan whose runs were recorded, or that has none, is a function of what its key holds; so a second one reads nothing of
an image but its documents. The report lies in the cache beside the facts of the image's last layer.
"""

import datetime
import hashlib
import re
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import msgspec

from mlbloat.cache import Cache
from mlbloat.image import Located
from mlbloat.model.report import Report
from mlbloat.model.use import RunRecord
from mlbloat.request import Request

REPORTS = "report/1"
"""How the kinds of reports begin."""
_ANY_DAY = datetime.date.min


class KnownReport:
    """What is kept of one question; nothing where the answer depends on more than can be told before."""

    def __init__(self, cache: Cache, request: Request, located: Located, records: tuple[RunRecord, ...]) -> None:
        self._cache = cache
        recorded = records or not request.workload.profile
        self._layer = located.last_layer if recorded else ""
        identity = located.identity if self._layer else ""
        self._kind = f"{REPORTS}/{_digest(request, identity)}" if identity else ""

    def get(self) -> Report | None:
        """Return the report; None where it is not known, or what is kept is damaged."""
        value = self._cache.load(self._kind, self._layer).get(0) if self._kind else None
        try:
            return None if value is None else msgspec.msgpack.decode(value, type=Report)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None

    def put(self, report: Report) -> None:
        if not self._kind:
            return
        try:
            value = msgspec.msgpack.encode(report)
        except UnicodeEncodeError:  # a name that no text can hold
            return
        self._cache.save(self._kind, self._layer, {0: value})


def _digest(request: Request, identity: str) -> str:
    profiles = [hashlib.sha256(path.read_bytes()).hexdigest() for path in request.profiles]
    # An `ignore:` entry can be over; where an image is, and what runs it, says `identity` and nothing.
    today = request.today if request.workload.ignore else _ANY_DAY
    plain = replace(request, reference="", profiles=(), cache=None, engine="", tracer="", today=today)
    asked = repr((identity, plain, profiles, sys.version, _libraries()))
    digest = hashlib.sha256(asked.encode("utf-8", "surrogateescape"))
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _libraries() -> list[tuple[str, str]]:
    """The libraries that this program stands on: another version may read a database differently."""
    try:
        needed = metadata.requires("mlbloat") or ()
    except metadata.PackageNotFoundError:  # run from its sources, by PYTHONPATH
        needed = ()
    names = sorted({re.split(r"[^\w.-]", each)[0] for each in needed if "extra ==" not in each})
    return [(name, metadata.version(name)) for name in names if _installed(name)]


def _installed(name: str) -> bool:
    try:
        return bool(metadata.version(name))
    except metadata.PackageNotFoundError:  # a marker leaves it out here
        return False
