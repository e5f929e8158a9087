"""A workload file as it is written: names, types and defaults of its keys (docs/workload.md)."""

import datetime

import msgspec


class Expect(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    exit: int | msgspec.UnsetType | None = msgspec.UNSET
    stdout: str = ""
    stderr: str = ""
    same: str | list[str] = msgspec.field(default_factory=list)


class ExpectResponse(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    status: int | None = None
    body: str = ""
    same: str | list[str] = msgspec.field(default_factory=list)


class Ready(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    http: str = ""
    tcp: int | str = ""
    log: str = ""
    timeout_seconds: float = 60.0


class Request(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    http: str
    method: str = "GET"
    headers: dict[str, str | int] = msgspec.field(default_factory=dict)
    body: str = ""
    expect: ExpectResponse = ExpectResponse()
    timeout_seconds: float = 60.0


class Exec(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    run: list[str]
    expect: Expect = Expect()
    timeout_seconds: float = 60.0


class Stop(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    signal: str | int = ""
    timeout_seconds: float = 10.0


class Run(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    name: str = ""
    run: list[str] | None = None
    args: list[str] | None = None
    env: dict[str, str | int | float | bool] = msgspec.field(default_factory=dict)
    mounts: list[str] = msgspec.field(default_factory=list)
    gpus: str | int | list[str] = "none"
    network: str = "none"
    tmpfs: list[str] = msgspec.field(default_factory=list)
    memory: int | str | None = None
    processes: int | None = None
    shm_size: int | str | None = None
    ulimits: dict[str, int | str] = msgspec.field(default_factory=dict)
    hosts: dict[str, str] = msgspec.field(default_factory=dict)
    timeout_seconds: float = 300.0
    expect: Expect = Expect()
    ready: Ready | None = None
    requests: list[Request] | None = None
    exec: list[Exec] | None = None
    stop: Stop | None = None


class Ignore(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    rule: str
    reason: str
    path: str = ""
    until: datetime.date | None = None


class File(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    image: str = ""
    profile: list[Run] = msgspec.field(default_factory=list)
    verify: list[Run] = msgspec.field(default_factory=list)
    keep: list[str] = msgspec.field(default_factory=list)
    keep_packages: list[str] = msgspec.field(default_factory=list)
    drop: list[str] = msgspec.field(default_factory=list)
    ignore: list[Ignore] = msgspec.field(default_factory=list)
    settings: dict[str, object] | None = None
    """Of the command line, in the `mlbloat.yaml` of the working directory; nothing of the workload."""


def keys_at(place: str) -> tuple[str, ...]:
    """Return the keys that are known at a place of the document, such as `profile[0].requests[1].expect`."""
    parts = [part.partition("[")[0] for part in place.split(".")]
    kinds: dict[str, type[msgspec.Struct]] = {
        "ready": Ready,
        "requests": Request,
        "exec": Exec,
        "stop": Stop,
        "expect": ExpectResponse if "requests" in parts else Expect,
        "ignore": Ignore,
        "profile": Run,
        "verify": Run,
    }
    return kinds.get(parts[-1], File).__struct_fields__
