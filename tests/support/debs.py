"""Packages of Debian, built by the real dpkg-deb from plain data."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.engines import program


def deb(
    directory: Path,
    name: str,
    files: Mapping[str, str],
    architecture: str = "all",
    scripts: Mapping[str, str] | None = None,
    fields: Mapping[str, str] | None = None,
) -> Path:
    """Build a package; what lies below /etc is a conffile, `scripts` are maintainer scripts, `fields` more control."""
    source = directory / f"{name}-{architecture}"
    control = {
        "Package": name, "Version": "1.0-1", "Architecture": architecture, "Maintainer": "a <a@b.org>",
        "Description": "x", **(fields or {}),
    }  # fmt: skip
    for path, text in files.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text(text)
    (source / "DEBIAN").mkdir(parents=True)
    (source / "DEBIAN/control").write_text("".join(f"{field}: {value}\n" for field, value in control.items()))
    (source / "DEBIAN/conffiles").write_text("".join(f"/{path}\n" for path in files if path.startswith("etc/")))
    for script, text in (scripts or {}).items():
        (source / "DEBIAN" / script).write_text(f"#!/bin/sh\nset -e\n{text}\n")
        (source / "DEBIAN" / script).chmod(0o755)
    out = directory / f"{name}-{architecture}.deb"
    command = [program("dpkg-deb"), "--root-owner-group", "--build", "-Znone", str(source), str(out)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    return out
