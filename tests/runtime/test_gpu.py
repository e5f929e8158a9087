"""GPUs as container device interface files describe them; a device file that every machine has stands for one."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlbloat.errors import EngineError
from mlbloat.model.conditions import Mount
from mlbloat.model.container import Device, DeviceHook, Devices
from mlbloat.runtime import runc
from mlbloat.runtime.gpu import devices_of
from tests.support.sandbox import container

_DOCUMENT: dict[str, Any] = {
    "cdiVersion": "0.6.0",
    "kind": "nvidia.com/gpu",
    "containerEdits": {
        "env": ["NVIDIA_VISIBLE_DEVICES=void"],
        "mounts": [{"hostPath": "/usr/lib/libdriver.so.1", "containerPath": "/usr/lib/libdriver.so.1"}],
        "hooks": [{"hookName": "createContainer", "path": "/usr/bin/finish", "args": ["finish", "links"]}],
    },
    "devices": [{"name": "0", "containerEdits": {"deviceNodes": [{"path": "/dev/gpu0", "hostPath": "/dev/null"}]}}],
}
_DEVICES = Devices(
    environment=("NVIDIA_VISIBLE_DEVICES=void",),
    nodes=(Device(path="/dev/gpu0", kind="c", major=1, minor=3),),
    mounts=(Mount(source="/usr/lib/libdriver.so.1", target="/usr/lib/libdriver.so.1", read_only=True),),
    hooks=(DeviceHook(when="createContainer", path="/usr/bin/finish", arguments=("finish", "links"), environment=()),),
)


def _find(directory: Path, *gpus: str) -> Devices | None:
    return devices_of(gpus, (directory,))


def test_devices_of_a_gpu_are_those_of_the_file_in_either_format(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text(json.dumps({**_DOCUMENT, "kind": "vendor.com/net"}))
    (tmp_path / "gpu.yaml").write_text(json.dumps(_DOCUMENT))  # which is YAML too
    assert _find(tmp_path, "0") == _DEVICES
    (tmp_path / "gpu.yaml").rename(tmp_path / "gpu.json")
    assert _find(tmp_path, "0") == _DEVICES


def test_a_machine_without_gpus_says_so(tmp_path: Path) -> None:
    assert _find(tmp_path) is None
    with pytest.raises(EngineError, match="make one with nvidia-ctk cdi generate"):
        _find(tmp_path, "all")
    (tmp_path / "gpu.json").write_text(json.dumps(_DOCUMENT))
    with pytest.raises(EngineError, match="cannot give a run GPU '7': this machine has 0"):
        _find(tmp_path, "7")


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "gpu.json").write_text("{")
    with pytest.raises(EngineError, match=r"cannot read .*gpu\.json"):
        _find(tmp_path, "0")


def test_the_bundle_has_what_the_gpu_takes() -> None:
    document = runc.configuration(replace(container("tool"), devices=_DEVICES), "/d", frozenset())
    assert document["linux"]["devices"] == [
        {"path": "/dev/gpu0", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666},
    ]
    assert document["linux"]["resources"]["devices"][1:] == [
        {"allow": True, "access": "rw", "type": "c", "major": 1, "minor": 3},
    ]
    assert document["hooks"] == {
        "createContainer": [{"path": "/usr/bin/finish", "args": ["finish", "links"], "env": []}],
    }
    assert document["mounts"][-1]["destination"] == "/usr/lib/libdriver.so.1"
    assert "NVIDIA_VISIBLE_DEVICES=void" in document["process"]["env"]
