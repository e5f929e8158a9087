"""What lies under a mount is not the image's."""

from dataclasses import replace

from mlbloat.model.conditions import Conditions, Mount, Tmpfs
from mlbloat.model.use import Access, Action
from mlbloat.usage.trace.covered import leave_out
from tests.support.sandbox import container
from tests.support.trees import Link, tree_of

_TREE = tree_of({"/data/f": "x", "/var/run": Link("/run"), "/run/old": "x", "/app": "x"})


def test_accesses_below_mounts_do_not_count_and_are_said() -> None:
    conditions = Conditions(mounts=(Mount(source="/here", target="/data"),), tmpfs=(Tmpfs(target="/var/run"),))
    paths = ("/app", "/data", "/data/f", "/var/run/old", "/run/none")
    accesses = tuple(Access(path, Action.OPENED) for path in paths)
    met, flags = leave_out(accesses, replace(container("x"), conditions=conditions), _TREE)
    assert [access.path for access in met] == ["/app", "/data"]
    assert [flag.partition(":")[0] for flag in flags] == [
        "3 names were looked up below /data, /var/run, which the container had from elsewhere"
    ]
    assert leave_out(accesses, container("x"), _TREE) == (accesses, ())
