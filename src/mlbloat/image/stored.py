"""What a source finds: an image before anyone has looked into its layers."""

import platform as host
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mlbloat.cache import Cache, NoCache
from mlbloat.errors import BadImageError, UsageError
from mlbloat.image.meter import Meter
from mlbloat.model.digest import Digest
from mlbloat.model.image import Platform, layer_key
from mlbloat.tarstream import Budget, Limits, TarBytes

MAX_LAYERS = 1000
"""Docker stacks 125, overlayfs itself 500."""
_MACHINES = {
    "x86_64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i686": ("386", ""),
}
"""The kernel's names for what Go calls otherwise; the rest (s390x, ppc64le, riscv64) agree."""


class AbsentError(Exception):
    """An engine is not there, or has no such image; another one may have it."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason, remedy)
        self.reason, self.remedy = reason, remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a user asked for."""

    reference: str
    """With its scheme."""
    rest: str
    """Without it."""
    workspace: Path
    platform: Platform | None = None
    """None: the host's, where the source has several."""
    limits: Limits = field(default_factory=Limits)
    budget: Budget = field(default_factory=Budget)
    """Shared by the archive and all layers."""
    meter: Meter = field(default_factory=Meter)
    cache: Cache = field(default_factory=NoCache)
    verified: bool = False
    """Compare every layer with its digest, also in storage that is trusted otherwise."""
    say: Callable[[str], None] = lambda _: None
    """Hears which way was taken, where there are several."""

    @property
    def wanted(self) -> Platform:
        return self.platform or host_platform()

    def check_layers(self, count: int) -> None:
        """Refuse more layers than any engine can stack, before one of them is looked for."""
        if count > MAX_LAYERS:
            raise BadImageError(
                f"cannot read {self.reference}: it has {count} layers (at most {MAX_LAYERS}); squash it"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLayer:
    blob: TarBytes
    """As stored: compressed or not."""
    digest: Digest | None = None
    """Of the blob, as the manifest says; None where the source has none."""
    written: bool = False
    """This program wrote it a moment ago, so its digest is known to be right."""
    unverified: bool = False
    """In an engine's own storage, and taken as it is: its digest is not compared."""
    storage: str = ""
    """What the engine calls its place there, which is another one when it is pulled again."""

    def key(self, diff_id: Digest) -> str:
        """Name what is learnt of it in the cache."""
        return layer_key(diff_id, verified=not self.unverified, storage=self.storage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    config: bytes
    layers: tuple[StoredLayer, ...]
    digest: Digest | None = None
    """Of the manifest."""
    notes: tuple[str, ...] = ()
    """What a reader of the report must know."""
    platforms: tuple[Platform, ...] = ()
    """Of all images that have the chosen one's name, when there are several."""


def host_platform() -> Platform:
    machine = host.machine()
    architecture, variant = _MACHINES.get(machine, (machine, ""))
    return Platform(os="linux", architecture=architecture, variant=variant)


def parse_platform(text: str) -> Platform:
    """Read `os/architecture[/variant]`."""
    if not re.fullmatch(r"[a-z0-9]+/[a-z0-9_]+(/[a-z0-9.]+)?", text):
        raise UsageError(f"cannot use the platform {text!r}: write os/architecture[/variant], such as linux/arm64")
    system, architecture, variant = (*text.split("/"), "")[:3]
    return Platform(os=system, architecture=architecture, variant=variant)


def same_platform(one: Platform, other: Platform) -> bool:
    """Compare; a variant that only one of them gives is no difference (arm64 is arm64/v8)."""
    same = (one.os, one.architecture) == (other.os, other.architecture)
    return same and (one.variant == other.variant or not one.variant or not other.variant)
