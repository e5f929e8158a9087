import os

from mlbloat.runtime import runc
from tests.support.sandbox import container


def test_the_bundle_is_at_least_as_tight_as_docker() -> None:
    document = runc.configuration(container("tool", "a"), "/scratch/run-1", frozenset({"open"}))
    linux, process = document["linux"], document["process"]
    assert [namespace["type"] for namespace in linux["namespaces"]] == ["pid", "ipc", "uts", "mount"]
    assert "/proc/kcore" in linux["maskedPaths"]
    assert "/proc/sys" in linux["readonlyPaths"]
    assert linux["resources"]["devices"] == [{"allow": False, "access": "rwm"}]
    assert linux["seccomp"]["listenerPath"] == "/scratch/run-1/listener"
    assert "CAP_SYS_ADMIN" not in process["capabilities"]["bounding"]
    assert len(process["capabilities"]["bounding"]) == 14
    assert document["root"]["path"] == "/scratch/run-1/merged"
    assert process["env"] == [f"PATH={os.environ['PATH']}"]


def test_only_a_user_that_is_not_root_may_use_set_id_programs() -> None:
    as_root = runc.configuration(container("tool"), "/d", frozenset())
    as_user = runc.configuration(container("tool", uid=1000), "/d", frozenset())
    assert (as_root["process"]["noNewPrivileges"], as_user["process"]["noNewPrivileges"]) == (True, False)
    assert as_user["process"]["user"] == {"uid": 1000, "gid": 1000, "additionalGids": []}
