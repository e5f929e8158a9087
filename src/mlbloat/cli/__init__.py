"""The command line: parse, call the pipeline, print. Errors become exit codes here and nowhere else."""

import atexit
import contextlib
import errno
import gc
import io
import os
import signal
import sys
import tempfile
import traceback
from types import FrameType
from typing import Any, NoReturn

import typer

from mlbloat.cli import commands, gate, reports
from mlbloat.cli.root import app
from mlbloat.errors import MlbloatError, UsageError
from mlbloat.model.plain import plain

__all__ = ["app", "commands", "gate", "main", "reports"]

INTERRUPTED = 130
_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, a stopped CI job, a closed terminal."""

_AGAIN_SECONDS = 0.01

_FULL = (errno.ENOSPC, errno.EDQUOT)
"""No bug, wherever it happens."""

_Misused: Any = typer.BadParameter.__mro__[1]
"""click's UsageError, which typer raises and does not export."""


def main() -> NoReturn:
    """Entry point of the `mlbloat` command."""
    # A scan makes a million values that stay until the end: looking for cycles among them is a fifth of its time.
    gc.set_threshold(200_000, 50, 1000)
    for number in _ENDINGS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as `nohup` and a shell's background jobs have it
            signal.signal(number, _interrupt)
    signal.signal(signal.SIGALRM, _interrupt)
    sys.unraisablehook = _again
    for stream in (sys.stdout, sys.stderr):
        # Paths of an image are bytes; one that is not UTF-8 must not end the report. A closed stream is None.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    status = _run()
    if status == INTERRUPTED:
        # An interrupt that fell into exec(), as dataclasses use it, would make Python end by the signal instead.
        with contextlib.suppress(OSError, AttributeError):  # its reader may be gone, and so may it
            sys.stdout.flush()
        os._exit(status)
    _end(status)


def _end(status: int) -> NoReturn:
    """End without giving a million values back one by one; the system takes the memory as a whole."""
    try:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    except (OSError, AttributeError, ValueError):  # gone or closed: Python says so in its own way
        sys.exit(status)
    atexit._run_exitfuncs()
    os._exit(status)


def _run() -> int:
    try:
        status = app(prog_name="mlbloat", standalone_mode=False) or 0
    except MlbloatError as error:
        _say(f"mlbloat: {error}")
        return error.exit_code
    except _Misused as error:
        _say(f"mlbloat: {_misuse(error)}")
        return UsageError.exit_code
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED
    except SystemExit as ended:
        status = ended.code  # 1 when the reader of our output left (`| head`)
    except Exception as error:  # noqa: BLE001 # the last line of defence: a bug is said to be one, in one line
        if os.environ.get("MLBLOAT_TRACEBACK"):
            traceback.print_exc()
        if isinstance(error, OSError) and error.errno in _FULL:
            _say(f"mlbloat: {_full(error)}")
            return 1
        _say(
            f"mlbloat: internal error: {type(error).__name__}: {error}; this is a bug: please report it with the "
            f"output of the same command under MLBLOAT_TRACEBACK=1"
        )
        return 1
    if status == INTERRUPTED:  # as typer has it, too
        _say("mlbloat: interrupted; its containers, mounts and temporary files are gone")
    return int(status)


def _full(error: OSError) -> str:
    place = error.filename or tempfile.gettempdir()
    return f"cannot write to {place}: {error.strerror}; make room there, or set TMPDIR to a larger file system"


def _misuse(error: Any) -> str:
    command = error.ctx.command_path if error.ctx is not None else "mlbloat"
    return f"cannot read the command line: {error.format_message().rstrip('.?')}; see {command} --help"


def _say(text: str) -> None:
    print(plain(" ".join(text.split())), file=sys.stderr, flush=True)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """Unwind, so that containers, mounts and files go; a second Ctrl-C must not cut that short."""
    for ending in _ENDINGS:
        signal.signal(ending, signal.SIG_IGN)
    raise KeyboardInterrupt


def _again(dropped: "sys.UnraisableHookArgs") -> None:
    """Interrupt once more when Python dropped that: it does in destructors and callbacks of weak references."""
    if isinstance(dropped.exc_value, KeyboardInterrupt):
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
    else:
        sys.__unraisablehook__(dropped)
