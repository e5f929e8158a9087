"""The archive that an engine streams out, as a file: it is the one copy, uncompressed layers are read in it."""

from collections.abc import Generator, Iterable
from contextlib import ExitStack
from pathlib import Path

from mlbloat.errors import BadImageError
from mlbloat.image.stored import Question

_BESIDE_LAYERS_BYTES = 64 << 20
"""For the documents and headers of an archive."""


def spool(chunks: Iterable[bytes], engine: str, size_bytes: int | None, question: Question) -> Path:
    """Write an archive into the workspace and return where it is; one that is too large is not written to its end."""
    most_bytes = question.limits.image_bytes + _BESIDE_LAYERS_BYTES
    question.workspace.mkdir(parents=True, exist_ok=True)
    path = question.workspace / f"{engine}.tar"
    question.meter.begin(f"saving image from {engine}", size_bytes)
    with ExitStack() as ending, path.open("wb") as out:
        if isinstance(chunks, Generator):
            ending.callback(chunks.close)  # now, not when it is collected: a program may be behind it
        for chunk in chunks:
            if out.tell() + len(chunk) > most_bytes:
                raise BadImageError(
                    f"cannot read {question.reference}: {engine} sends more than {question.limits.image_bytes} bytes; "
                    f"{question.limits.advice('image_bytes')}"
                )
            out.write(chunk)
            question.meter.add(len(chunk))
    return path
