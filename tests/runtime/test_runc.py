import os
from dataclasses import replace

from mlbloat.runtime import runc
from tests.support.sandbox import container


def test_the_bundle_is_at_least_as_tight_as_docker() -> None:
    document = runc.configuration(container("tool", "a"), "/scratch/run-1", frozenset({"open"}))
    linux, process = document["linux"], document["process"]
    assert [namespace["type"] for namespace in linux["namespaces"]] == ["pid", "ipc", "uts", "mount"]
    assert "/proc/kcore" in linux["maskedPaths"]
    assert "/proc/sys" in linux["readonlyPaths"]
    assert linux["resources"]["devices"] == [{"allow": False, "access": "rwm"}]
    assert 0 < linux["resources"]["memory"]["limit"] < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert linux["resources"]["pids"] == {"limit": 16384}
    assert linux["seccomp"]["listenerPath"] == "/proc/self/cwd/listener"
    assert "CAP_SYS_ADMIN" not in process["capabilities"]["bounding"]
    assert len(process["capabilities"]["bounding"]) == 14
    assert document["root"]["path"] == "/scratch/run-1/merged"
    assert process["env"] == [f"PATH={os.environ['PATH']}"]


def test_new_privileges_are_for_those_who_need_them() -> None:
    as_root = runc.configuration(container("tool"), "/d", frozenset())
    as_user = runc.configuration(replace(container("tool", uid=1000), new_privileges=True), "/d", frozenset())
    assert (as_root["process"]["noNewPrivileges"], as_user["process"]["noNewPrivileges"]) == (True, False)
    assert as_user["process"]["user"] == {"uid": 1000, "gid": 1000, "additionalGids": []}
