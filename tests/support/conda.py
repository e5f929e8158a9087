"""Conda packages and channels, built from plain data, and environments that rattler makes of them."""

import asyncio
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tests.support.images import compressed, layer_tar


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """One package of a channel."""

    name: str
    version: str = "1.0"
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    depends: Sequence[str] = ()
    noarch: Literal["", "python", "generic"] = ""
    form: Literal["conda", "tar.bz2"] = "conda"

    @property
    def subdir(self) -> str:
        return "noarch" if self.noarch else "linux-64"

    @property
    def stem(self) -> str:
        return f"{self.name}-{self.version}-0"


def archive(built: Built) -> bytes:
    """The bytes of a package: https://docs.conda.io/projects/conda-build/en/stable/resources/package-spec.html"""
    index = {
        "name": built.name, "version": built.version, "build": "0", "build_number": 0, "depends": list(built.depends),
        "subdir": built.subdir, **({"noarch": built.noarch} if built.noarch else {"arch": "x86_64"}),
        "platform": None if built.noarch else "linux",
    }  # fmt: skip
    files = {path: value.encode() if isinstance(value, str) else value for path, value in built.files.items()}
    paths = [
        {"_path": path, "path_type": "hardlink", "sha256": hashlib.sha256(content).hexdigest(),
         "size_in_bytes": len(content)}
        for path, content in files.items()
    ]  # fmt: skip
    info = {
        "info/index.json": json.dumps(index),
        "info/paths.json": json.dumps({"paths": paths, "paths_version": 1}),
        "info/files": "".join(f"{path}\n" for path in files),
        "info/about.json": "{}",
    }
    if built.noarch == "python":
        info["info/link.json"] = json.dumps({"noarch": {"type": "python"}, "package_metadata_version": 1})
    if built.form == "tar.bz2":
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:bz2") as tar:
            for path, content in {**{path: text.encode() for path, text in info.items()}, **files}.items():
                header = tarfile.TarInfo(path)
                header.size = len(content)
                tar.addfile(header, io.BytesIO(content))
        return out.getvalue()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as outer:
        outer.writestr("metadata.json", '{"conda_pkg_format_version": 2}')
        outer.writestr(f"pkg-{built.stem}.tar.zst", compressed(layer_tar(dict(files)), "zstd"))
        outer.writestr(f"info-{built.stem}.tar.zst", compressed(layer_tar(dict(info)), "zstd"))
    return out.getvalue()


def channel(directory: Path, packages: Sequence[Built]) -> str:
    """Write a channel with its index; returns its address."""
    for subdir in ("noarch", "linux-64"):
        (directory / subdir).mkdir(parents=True)
        entries: dict[str, dict[str, Any]] = {"packages": {}, "packages.conda": {}}
        for built in (each for each in packages if each.subdir == subdir):
            content = archive(built)
            name = f"{built.stem}.{built.form}"
            (directory / subdir / name).write_bytes(content)
            entries["packages.conda" if built.form == "conda" else "packages"][name] = {
                "name": built.name, "version": built.version, "build": "0", "build_number": 0,
                "depends": list(built.depends), "subdir": subdir, "size": len(content),
                "sha256": hashlib.sha256(content).hexdigest(), "md5": hashlib.md5(content).hexdigest(),
                **({"noarch": built.noarch} if built.noarch else {}),
            }  # fmt: skip
        document = {"info": {"subdir": subdir}, **entries, "removed": [], "repodata_version": 1}
        (directory / subdir / "repodata.json").write_text(json.dumps(document))
    return directory.as_uri()


def environment(prefix: Path, address: str, specs: Sequence[str], cache: Path) -> None:
    """Solve and install as a user of conda would, from a local channel and without a network."""
    asyncio.run(_environment(prefix, address, specs, cache))


async def _environment(prefix: Path, address: str, specs: Sequence[str], cache: Path) -> None:
    import rattler

    gateway = rattler.Gateway(cache_dir=cache / "repodata")
    asked = [rattler.MatchSpec(spec) for spec in specs]
    records = await rattler.solve([address], asked, gateway=gateway, platforms=["linux-64", "noarch"])
    await rattler.install(
        records,
        prefix,
        cache_dir=cache / "pkgs",
        platform=rattler.Subdir("linux-64"),
        show_progress=False,
        requested_specs=[spec._match_spec for spec in asked],  # it takes no MatchSpec, whatever its types say
    )
