"""Programs of other engines, run for what they print."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from mlbloat.model.plain import plain
from mlbloat.runtime import defaults

_CHUNK_BYTES = 1 << 20
_SHOWN_CHARACTERS = 300
_ANSWER_BYTES = 64 << 20
_END_SECONDS = 10.0


class ProgramError(Exception):
    """What a program said when it failed, in one line."""


def find(name: str) -> str | None:
    """Return where a program is; the usual directories are looked at even if they are not in PATH."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{defaults.PATH}")


def ask(words: Sequence[str]) -> bytes:
    """Return all that a program prints."""
    answer = bytearray()
    for chunk in printed(words):
        answer += chunk
        if len(answer) > _ANSWER_BYTES:
            raise ProgramError(f"it prints more than {_ANSWER_BYTES} bytes")
    return bytes(answer)


def printed(words: Sequence[str]) -> Iterator[bytes]:
    """Yield what a program prints, as it prints it; ProgramError when it fails. Left early, it is ended."""
    with _started(words, stdin=None) as (process, said):
        out = process.stdout
        while out is not None and (chunk := out.read(_CHUNK_BYTES)):
            yield chunk
        _check(process.wait(), said)


def fed(words: Sequence[str], chunks: Iterable[bytes]) -> bytes:
    """Feed a program and return what it prints, which must be little; ProgramError when it fails."""
    with _started(words, stdin=subprocess.PIPE) as (process, said):
        # A program that ends early has said why.
        with contextlib.suppress(BrokenPipeError):
            for chunk in chunks:
                process.stdin.write(chunk)  # type: ignore[union-attr]  # it was asked for
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()  # type: ignore[union-attr]  # it was asked for
        answer: bytes = process.stdout.read(_CHUNK_BYTES)  # type: ignore[union-attr]  # it always is a pipe
        _check(process.wait(), said)
    return answer


@contextlib.contextmanager
def _started(words: Sequence[str], stdin: int | None) -> "Iterator[tuple[subprocess.Popen[bytes], BinaryIO]]":
    program = find(words[0])
    if program is None:
        raise ProgramError(f"{words[0]} is not installed")
    with tempfile.TemporaryFile() as said, _scratch() as environment:
        try:
            process = subprocess.Popen(
                [program, *words[1:]],
                stdin=subprocess.DEVNULL if stdin is None else stdin,
                stdout=subprocess.PIPE,
                stderr=said,
                env=environment,
            )
        except OSError as error:
            raise ProgramError(f"{program} does not start: {error.strerror}") from None
        try:
            with process:
                try:
                    yield process, said
                except BaseException:
                    _end(process)
                    raise
        finally:
            _end(process)


@contextlib.contextmanager
def _scratch() -> "Iterator[dict[str, str]]":
    """Give an environment whose TMPDIR goes with the program: podman leaves whole images there when it is ended.

    Without a TMPDIR it takes /var/tmp, which is on a disk where /tmp may be in memory. Where a user has no runtime
    directory it keeps what has to last in TMPDIR, too, so that this must stay.
    https://docs.podman.io/en/latest/markdown/podman-load.1.html
    """
    user = os.geteuid()
    if user and not os.environ.get("XDG_RUNTIME_DIR") and not Path(f"/run/user/{user}").is_dir():
        yield {**os.environ}
        return
    usual = "/var/tmp" if os.access("/var/tmp", os.W_OK | os.X_OK) else None
    place = None if os.environ.get("TMPDIR") else usual
    with tempfile.TemporaryDirectory(prefix="mlbloat-", dir=place, ignore_cleanup_errors=True) as directory:
        yield {**os.environ, "TMPDIR": directory}


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _check(status: int, said: BinaryIO) -> None:
    if status == 0:
        return
    said.seek(0)
    lines = said.read(_CHUNK_BYTES).decode(errors="replace").strip().splitlines()
    last = lines[-1].strip() if lines else f"it ended with status {status}"
    raise ProgramError(plain(last.removeprefix("Error: ").removeprefix("ctr: "))[:_SHOWN_CHARACTERS])
