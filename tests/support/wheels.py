"""Wheels and source trees of Python packages, written from plain data."""

import zipfile
from collections.abc import Mapping
from pathlib import Path


def wheel(directory: Path, name: str, headers: str = "", files: Mapping[str, str] | None = None) -> Path:
    """Write a wheel with a module, data inside and outside of it, and a command; `headers` are lines of METADATA."""
    info = f"{name}-1.0.dist-info"
    content = {
        f"{name}/__init__.py": "def main() -> None: ...\n",
        f"{name}/data/table.csv": "1,2\n",
        f"{name}-1.0.data/data/share/{name}/notes.txt": "notes",
        **(files or {}),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{headers}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name}-run = {name}:main\n",
    }
    path = directory / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as out:
        for inner, text in content.items():
            out.writestr(inner, text)
        out.writestr(f"{info}/RECORD", "".join(f"{each},,\n" for each in (*content, f"{info}/RECORD")))
    return path


def legacy_source(directory: Path, name: str) -> Path:
    """Write a source tree from before pyproject.toml; setuptools leaves an egg-info of it."""
    (directory / name).mkdir(parents=True)
    (directory / name / "__init__.py").write_text("def main() -> None: ...\n")
    (directory / "setup.py").write_text(
        f"from setuptools import setup\n"
        f"setup(name={name!r}, version='1.0', packages=[{name!r}], zip_safe=False,\n"
        f"      entry_points={{'console_scripts': ['{name}-run = {name}:main']}})\n"
    )
    return directory


BACKEND = '''"""Builds an editable wheel, as backends do it: a .pth file that names the source tree (PEP 660)."""

import base64, hashlib, os, zipfile


def build_editable(directory, config_settings=None, metadata_directory=None):
    name = NAME
    info = f"{name}-1.0.dist-info"
    files = {
        f"__editable__.{name}.pth": os.getcwd() + "/src\\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    with zipfile.ZipFile(os.path.join(directory, f"{name}-1.0-py3-none-any.whl"), "w") as out:
        for path, text in files.items():
            out.writestr(path, text)
        out.writestr(f"{info}/RECORD", "".join(f"{path},,\\n" for path in (*files, f"{info}/RECORD")))
    return f"{name}-1.0-py3-none-any.whl"
'''


def editable_source(directory: Path, name: str) -> Path:
    """Write a source tree with a build backend of its own, so that installing it needs no other package."""
    (directory / "src" / name).mkdir(parents=True)
    (directory / "src" / name / "__init__.py").write_text("x = 1\n")
    (directory / "backend.py").write_text(BACKEND.replace("NAME", repr(name)))
    (directory / "pyproject.toml").write_text(
        f'[project]\nname = "{name}"\nversion = "1.0"\n'
        f'[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    return directory
