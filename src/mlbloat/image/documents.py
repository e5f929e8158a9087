"""The JSON documents of an image: index, manifest, configuration, and docker's own manifest.json.

Only the fields that are read; unknown ones pass. Go writes null for what is empty, so most fields may be null.

https://github.com/opencontainers/image-spec/tree/v1.1.0
https://github.com/moby/docker-image-spec/blob/v1.3.1/spec.md
"""

import json
import re
from typing import TypeVar

import msgspec

from mlbloat.errors import BadImageError
from mlbloat.model.digest import Digest
from mlbloat.model.image import ImageConfig, Platform

_NESTING = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_MAX_DEPTH = 100


class PlatformObject(msgspec.Struct, frozen=True):
    os: str | None = None
    architecture: str | None = None
    variant: str | None = None

    def value(self) -> Platform:
        return Platform(os=self.os or "linux", architecture=self.architecture or "amd64", variant=self.variant or "")


class Descriptor(msgspec.Struct, frozen=True, rename="camel"):
    digest: str
    size: int
    media_type: str | None = None
    annotations: dict[str, str] | None = None
    platform: PlatformObject | None = None
    artifact_type: str | None = None
    """What is attached to an image since OCI 1.1: a signature, a bill of materials."""


class Manifest(msgspec.Struct, frozen=True, rename="camel"):
    """An index when it has `manifests`, the manifest of an image otherwise."""

    manifests: list[Descriptor] | None = None
    config: Descriptor | None = None
    layers: list[Descriptor] | None = None
    media_type: str | None = None


class DockerImage(msgspec.Struct, frozen=True, rename="pascal"):
    """One element of docker's manifest.json."""

    config: str
    layers: list[str] | None = None
    repo_tags: list[str] | None = None


class HealthCheckObject(msgspec.Struct, frozen=True, rename="pascal"):
    """https://github.com/moby/docker-image-spec/blob/v1.3.1/spec.md#image-json-field-descriptions"""

    test: list[str] | str | None = None

    def command_line(self, shell: tuple[str, ...]) -> tuple[str, ...]:
        """Return what an engine runs, with the image's shell where the check is a text for one."""
        kind, *words = _words(self.test) or ("NONE",)
        if kind in ("", "NONE"):
            return ()
        if kind == "CMD-SHELL":
            return (*(shell or ("/bin/sh", "-c")), *words)
        return tuple(words) if kind == "CMD" else (kind, *words)


class RunConfig(msgspec.Struct, frozen=True, rename="pascal"):
    entrypoint: list[str] | str | None = None
    """Old builders wrote one string."""
    cmd: list[str] | str | None = None
    env: list[str] | None = None
    user: str | None = None
    working_dir: str | None = None
    stop_signal: str | None = None
    healthcheck: HealthCheckObject | None = None
    shell: list[str] | None = None


class RootFileSystem(msgspec.Struct, frozen=True):
    diff_ids: list[str] | None = None


class HistoryLine(msgspec.Struct, frozen=True):
    created_by: str | None = None
    empty_layer: bool | None = None


class ConfigDocument(PlatformObject, frozen=True):
    config: RunConfig | None = None
    rootfs: RootFileSystem | None = None
    history: list[HistoryLine] | None = None

    def created_by(self, layers: int) -> tuple[str, ...]:
        """Return the history line of each layer; empty texts where the history does not fit the layers."""
        lines = [line.created_by or "" for line in self.history or () if not line.empty_layer]
        return tuple(lines) if len(lines) == layers else ("",) * layers

    def image_config(self, document: bytes) -> ImageConfig:
        run = self.config or RunConfig()
        return ImageConfig(
            document=document,
            entrypoint=_words(run.entrypoint),
            command=_words(run.cmd),
            environment=tuple(_variable(text) for text in run.env or ()),
            user=run.user or "",
            working_directory=run.working_dir or "/",
            stop_signal=run.stop_signal or "",
            health_check=(run.healthcheck or HealthCheckObject()).command_line(tuple(run.shell or ())),
        )


def _words(value: list[str] | str | None) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value or ())


def _variable(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


Document = TypeVar("Document")


def decode(content: bytes, kind: type[Document], name: str) -> Document:
    """Read a document; `name` is what the error calls it."""
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise BadImageError(f"cannot read {name}: {error}; pull or save the image again") from None


def decode_config(content: bytes, name: str) -> ConfigDocument:
    """Read a configuration; its other fields are copied and compared later, so they must be plain, too."""
    document = decode(content, ConfigDocument, name)
    depth = 0
    for mark in _NESTING.finditer(content):
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(mark[0], 0)
        if depth > _MAX_DEPTH:
            raise BadImageError(f"cannot read {name}: it is nested more than {_MAX_DEPTH} deep; build the image again")
    try:
        json.loads(content)
    except ValueError as error:  # a number of thousands of digits
        raise BadImageError(f"cannot read {name}: {error}; pull or save the image again") from None
    return document


def digest_of(text: str, name: str) -> Digest:
    """Read a digest that a document gives."""
    try:
        return Digest(text)
    except ValueError as error:
        raise BadImageError(f"cannot read {name}: {error}; pull or save the image again") from None
