"""The archive that an engine streams out: as a whole, or an error and an end to the stream."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mlbloat.errors import BadImageError
from mlbloat.image import Limits
from mlbloat.image.spool import spool
from mlbloat.image.stored import Question

_CHUNK = bytes(1 << 20)


def _question(workspace: Path) -> Question:
    return Question(reference="podman:app", rest="app", workspace=workspace, limits=Limits(image_bytes=1 << 20))


def test_a_stream_is_written_as_it_comes(tmp_path: Path) -> None:
    path = spool([b"one", b"two"], "podman", None, _question(tmp_path / "w"))
    assert path.read_bytes() == b"onetwo"


def test_an_archive_beyond_the_limit_is_refused_before_it_fills_the_disk(tmp_path: Path) -> None:
    sent, ended = 0, False

    def chunks() -> Iterator[bytes]:
        nonlocal sent, ended
        try:
            while True:
                sent += 1
                yield _CHUNK
        finally:
            ended = True

    with pytest.raises(
        BadImageError, match=r"^cannot read podman:app: podman sends more than .*--limit image_bytes=2MiB"
    ):
        spool(chunks(), "podman", None, _question(tmp_path))
    assert (sent, ended) == (66, True)  # the limit, what may stand beside the layers, and one too many

    raised = replace(_question(tmp_path), limits=Limits(image_bytes=8 << 20))
    assert spool([_CHUNK] * 66, "podman", None, raised).stat().st_size == 66 << 20
