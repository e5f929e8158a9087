"""The root of a running container, looked into from outside."""

import ctypes
import errno
import os
from pathlib import Path
from typing import Any

import pytest

from mlbloat.usage.trace import root
from mlbloat.usage.trace.root import Root


class _Disturbed:
    """A C library whose lookups of names somebody disturbs at first, by renaming something elsewhere."""

    def __init__(self, times: int) -> None:
        self._left = times

    def syscall(self, *arguments: Any) -> Any:
        if self._left:
            self._left -= 1
            ctypes.set_errno(errno.EAGAIN)
            return -1
        return ctypes.CDLL(None, use_errno=True).syscall(*arguments)


@pytest.mark.parametrize(("times", "found"), [(0, b"/bin/interpreter"), (3, b"/bin/interpreter"), (1000, b"")])
def test_a_lookup_that_is_disturbed_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int, found: bytes
) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/interpreter\n")
    monkeypatch.setattr(root, "_libc", _Disturbed(times))
    looking = Root()
    assert looking.interpreter(os.getpid(), os.fsencode(script)) == found
    looking.close()
