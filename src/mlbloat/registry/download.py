"""Blobs into files: resumed where a connection broke, and whole and right or not there at all.

https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pulling-blobs
https://www.rfc-editor.org/rfc/rfc9110#section-14
"""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from mlbloat.model.digest import Digest
from mlbloat.registry.client import Registry
from mlbloat.registry.problem import BadContentError
from mlbloat.registry.transport import Answer, LostError

_ATTEMPTS = 5
_BYTES_PER_ATTEMPT = 256 << 20
"""A large blob may break off more often."""
_FIRST_WAIT_SECONDS = 0.5
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(?:\d{1,18}|\*)")


def download(registry: Registry, digest: Digest, size_bytes: int, path: Path, on_bytes: Callable[[int], None]) -> None:
    """Fetch a blob; `on_bytes` hears of every piece, with a negative number when pieces have to be fetched again.

    On failure, or when `on_bytes` raises, no file is left.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("w+b") as out:
            _Download(registry, digest, size_bytes, out, on_bytes).run()
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def first_bytes(registry: Registry, digest: Digest, count: int) -> bytes:
    """Fetch the beginning of a blob; nothing can be checked of it."""
    url = registry.url(f"blobs/{digest}")
    with registry.send("GET", url, headers={"Range": f"bytes=0-{count - 1}"}) as answer:
        registry.expect(answer, 200, 206)
        start = b""
        for chunk in answer.chunks():
            start += chunk
            if len(start) >= count:
                break
    return start[:count]


class _Download:
    def __init__(
        self, registry: Registry, digest: Digest, size_bytes: int, out: BinaryIO, on_bytes: Callable[[int], None]
    ) -> None:
        self._registry = registry
        self._digest = digest
        self._size_bytes = size_bytes
        self._out = out
        self._on_bytes = on_bytes
        self._hash = hashlib.new(digest.algorithm)
        self._done_bytes = 0
        self._resumed = False

    def run(self) -> None:
        attempts = _ATTEMPTS + self._size_bytes // _BYTES_PER_ATTEMPT
        for attempt in range(1, attempts + 1):
            try:
                self._fetch()
            except LostError:
                if attempt == attempts:
                    raise
                self._registry.transport.wait(_FIRST_WAIT_SECONDS * 2 ** min(attempt - 1, 5))
                continue
            if self._is_right():
                return
            if not self._resumed or attempt == attempts:
                raise BadContentError(
                    f"{self._registry.name} sent other content for {self._digest}; "
                    "try again, and do not use the image if that does not help"
                )
            self._start_again()  # the pieces may be of two versions

    def _fetch(self) -> None:
        """Fetch what is missing, or all of it where the registry cannot resume."""
        start = self._done_bytes
        if start and start == self._size_bytes:
            return
        headers = {"Range": f"bytes={start}-"} if start else {}
        with self._registry.send("GET", self._registry.url(f"blobs/{self._digest}"), headers=headers) as answer:
            if start and not _continues(answer, start):
                self._start_again()
                if answer.status != 200:
                    raise LostError(f"{self._registry.name} cannot resume {self._digest}; try again")
            elif start:
                self._resumed = True
            self._registry.expect(answer, 200, 206)
            for chunk in answer.chunks():
                self._take(chunk)
        if self._done_bytes < self._size_bytes:
            raise LostError(f"{self._registry.name} sent only {self._done_bytes} bytes of {self._digest}; try again")

    def _take(self, chunk: bytes) -> None:
        if self._done_bytes + len(chunk) > self._size_bytes:
            raise BadContentError(
                f"{self._registry.name} sent more than {self._size_bytes} bytes for {self._digest}; "
                "ask its administrator"
            )
        self._out.write(chunk)
        self._hash.update(chunk)
        self._done_bytes += len(chunk)
        self._on_bytes(len(chunk))

    def _is_right(self) -> bool:
        return self._hash.hexdigest() == self._digest.hex

    def _start_again(self) -> None:
        self._on_bytes(-self._done_bytes)
        self._out.seek(0)
        self._out.truncate()
        self._hash = hashlib.new(self._digest.algorithm)
        self._done_bytes = 0
        self._resumed = False


def _continues(answer: Answer, start: int) -> bool:
    """Tell whether this is the rest from `start` on, as it was asked for."""
    found = _CONTENT_RANGE.fullmatch(answer.header("Content-Range"))
    return answer.status == 206 and found is not None and int(found[1]) == start
