"""What a container needs to use GPUs, as the machine's own container device interface files say it.

https://github.com/cncf-tags/container-device-interface/blob/v0.8.0/SPEC.md
The files are made by `nvidia-ctk cdi generate`. They belong to this machine's root, so they are believed.
"""

import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlbloat.errors import EngineError
from mlbloat.model.conditions import Mount
from mlbloat.model.container import Device, DeviceHook, Devices

_DIRECTORIES = (Path("/etc/cdi"), Path("/var/run/cdi"))
_KIND = "nvidia.com/gpu"
_LIMIT_BYTES = 4 << 20
_HOOKS = ("createContainer", "createRuntime", "startContainer", "prestart", "poststart", "poststop")


def devices_of(gpus: tuple[str, ...], directories: tuple[Path, ...] = _DIRECTORIES) -> Devices | None:
    """Return what these GPUs take; None for no GPU, EngineError when this machine cannot give them."""
    if not gpus:
        return None
    documents = [document for directory in directories for document in _documents(directory)]
    named = {str(device["name"]): device for document in documents for device in document.get("devices") or ()}
    if not named:
        raise EngineError(
            f"cannot give a run GPUs ({', '.join(gpus)}): no file in {' or '.join(map(str, directories))} describes "
            "any on this machine; make one with nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml, or remove `gpus`"
        )
    missing = [name for name in gpus if name not in named]
    if missing:
        raise EngineError(f"cannot give a run GPU {missing[0]!r}: this machine has {', '.join(sorted(named))}")
    edits = [*(document.get("containerEdits") or {} for document in documents)]
    edits += [named[name].get("containerEdits") or {} for name in gpus]
    return Devices(
        environment=tuple(str(line) for edit in edits for line in edit.get("env") or ()),
        nodes=tuple(_device(node) for edit in edits for node in edit.get("deviceNodes") or ()),
        mounts=tuple(_mount(mount) for edit in edits for mount in edit.get("mounts") or ()),
        hooks=tuple(_hook(hook) for edit in edits for hook in edit.get("hooks") or ()),
    )


def _documents(directory: Path) -> Iterator[Mapping[str, Any]]:
    import yaml  # a scan that gives nobody a GPU does without

    paths = sorted(directory.iterdir()) if directory.is_dir() else []
    for path in (path for path in paths if path.suffix in (".json", ".yaml")):
        try:
            with path.open("rb") as stream:
                text = stream.read(_LIMIT_BYTES)
            document = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise EngineError(f"cannot read {path}: {error}; generate it again with nvidia-ctk cdi generate") from error
        if isinstance(document, dict) and document.get("kind") == _KIND:
            yield document


def _device(node: Mapping[str, Any]) -> Device:
    source = str(node.get("hostPath") or node["path"])
    try:
        found = os.stat(source)
    except OSError as error:
        raise EngineError(f"cannot give a run {source}: {error.strerror}; is the driver loaded?") from error
    kind = "b" if stat.S_ISBLK(found.st_mode) else "c"
    return Device(path=str(node["path"]), kind=kind, major=os.major(found.st_rdev), minor=os.minor(found.st_rdev))


def _mount(mount: Mapping[str, Any]) -> Mount:
    return Mount(source=str(mount["hostPath"]), target=str(mount["containerPath"]), read_only=True)


def _hook(hook: Mapping[str, Any]) -> DeviceHook:
    name = str(hook["hookName"])
    if name not in _HOOKS:
        raise EngineError(f"cannot give a run GPUs: unknown hook {name!r}; update mlbloat, or remove `gpus`")
    arguments = tuple(map(str, hook.get("args") or ()))
    return DeviceHook(when=name, path=str(hook["path"]), arguments=arguments, environment=tuple(hook.get("env") or ()))
