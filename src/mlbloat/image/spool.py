"""The archive that an engine streams out, as a file: it is the one copy, uncompressed layers are read in it."""

from collections.abc import Generator, Iterable
from contextlib import ExitStack
from pathlib import Path

from mlbloat.image.stored import Question


def spool(chunks: Iterable[bytes], engine: str, size_bytes: int | None, question: Question) -> Path:
    """Write an archive into the workspace and return where it is."""
    question.workspace.mkdir(parents=True, exist_ok=True)
    path = question.workspace / f"{engine}.tar"
    question.meter.begin(f"saving image from {engine}", size_bytes)
    with ExitStack() as ending, path.open("wb") as out:
        if isinstance(chunks, Generator):
            ending.callback(chunks.close)  # now, not when it is collected: a program may be behind it
        for chunk in chunks:
            out.write(chunk)
            question.meter.add(len(chunk))
    return path
