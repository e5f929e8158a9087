"""Programs that another user than root runs, in tests that root runs."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from mlbloat.runtime import kernel, rootmount
from tests.support.engines import missing

_NOBODY = 65534
_PROJECT = Path(__file__).parents[2]


def run(space: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Run mlbloat as a user without privileges, whose home and temporary files are in `space`."""
    privileged = os.geteuid() == 0
    home, space_for_files = space / "home", space / "tmp"
    for directory in (space, home, space_for_files):
        directory.mkdir(exist_ok=True)
    if privileged:
        for path in (space, *space.rglob("*")):
            os.chown(path, _NOBODY, _NOBODY, follow_symlinks=False)
    hidden = [str(path) for path in _needed(space) if privileged and not _reachable(path)]
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(space_for_files)}
    try:
        return subprocess.run(
            (sys.executable, "-B", "-m", "mlbloat", *map(str, words)),
            capture_output=True,
            text=True,
            cwd="/",
            env={**environment, "PYTHONPATH": str(_PROJECT / "src")},
            preexec_fn=lambda: _become_nobody(hidden) if privileged else None,
        )
    except subprocess.SubprocessError as error:
        missing(f"{', '.join(hidden)} are root's alone, and may not be mounted elsewhere for a test ({error})")


def may_have_namespaces() -> bool:
    """Tell whether this machine lets such a user make a user namespace; found out without mlbloat."""
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                _become_nobody(())
            os._exit(int(ctypes.CDLL(None).unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWNS) != 0))
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def _needed(space: Path) -> set[Path]:
    return {_PROJECT, Path(sys.prefix), Path(sys.base_prefix), space}


def _reachable(path: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in path.parents)


def _become_nobody(hidden: Iterable[str]) -> None:
    """Change the user of this process; first, put in its own view what the directories of root keep from others."""
    if hidden:
        kernel.unshare(kernel.CLONE_NEWNS)
        rootmount.make_private()
        trees = [(path, kernel.take_tree(path)) for path in hidden]
        for path, tree in trees:
            for parent in reversed(Path(path).parents):
                if parent.exists() and not parent.stat().st_mode & 0o001:
                    kernel.mount("tmpfs", str(parent), "tmpfs", options="mode=755")
            Path(path).mkdir(parents=True, exist_ok=True)
            kernel.put_tree(tree, path)
    os.setgroups(())
    os.setresgid(_NOBODY, _NOBODY, _NOBODY)
    os.setresuid(_NOBODY, _NOBODY, _NOBODY)
