"""The `mlbloat` command, also as `python -m mlbloat`: ready for Ctrl-C before anything is imported that takes time."""

import os
import signal

TYPE_CHECKING = False  # typing itself takes time; type checkers know this name
if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn


def main() -> "NoReturn":
    """Until the command line has handlers of its own there is nothing to clean up, and nothing to say."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _leave)
    from mlbloat import cli

    cli.main()


def _leave(number: int, frame: "FrameType | None") -> "NoReturn":
    os._exit(128 + number)


if __name__ == "__main__":
    main()
