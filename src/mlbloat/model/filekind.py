"""What a file is for, told from its path alone."""

import re
from enum import StrEnum
from functools import lru_cache


class FileKind(StrEnum):
    CACHE = "caches"
    DATABASE = "package databases"
    DEVICE_CODE = "device code"
    TESTS = "tests"
    HEADERS = "headers"
    STATIC_LIBRARY = "static archives"
    SHARED_LIBRARY = "shared libraries"
    BYTECODE = "bytecode"
    PYTHON_SOURCE = "python source"
    DOCUMENTATION = "documentation"
    DATA = "models and data"
    PROGRAM = "programs"
    OTHER = "other"


_DIRECTORIES = (
    (FileKind.CACHE, r"/\.cache/|/\.npm/_cacache/|^/var/cache/|^/var/lib/apt/lists/|conda[^/]*/pkgs/|/\.ccache/"),
    (FileKind.DATABASE, r"^/var/lib/(?:dpkg|rpm|apt)/|/lib/apk/db/|/sysimage/rpm/|/conda-meta/|[.-](?:dist|egg)-info/"),
    (FileKind.TESTS, r"/tests?/"),
    (FileKind.HEADERS, r"/include/"),
    (FileKind.DOCUMENTATION, r"/share/(?:doc|man|info|licenses|common-licenses|gtk-doc|help|doc-base)/|/man/man[0-9]"),
)
_PATTERN = re.compile("|".join(f"(?P<{kind.name}>{pattern})" for kind, pattern in _DIRECTORIES))
_RANK = {kind.name: rank for rank, (kind, _) in enumerate(_DIRECTORIES)}
_BY_EXTENSION = {
    extension: kind
    for kind, extensions in (
        (FileKind.DEVICE_CODE, ".cubin .fatbin .ptx .hsaco .co"),
        (FileKind.SHARED_LIBRARY, ".so"),
        (FileKind.STATIC_LIBRARY, ".a .la .o"),
        (FileKind.BYTECODE, ".pyc .pyo"),
        (FileKind.PYTHON_SOURCE, ".py .pyi .pyx"),
        (FileKind.HEADERS, ".h .hh .hpp .hxx .h++ .cuh .inl .ipp .tcc .pxd"),
        (FileKind.DOCUMENTATION, ".md .rst .html .htm .pdf"),
        (
            FileKind.DATA,
            ".pt .pth .bin .safetensors .onnx .h5 .hdf5 .pb .tflite .gguf .ggml .model .ckpt .npy .npz .pkl .pickle"
            " .joblib .parquet .arrow .feather .csv .tsv .json .jsonl .dat .db .sqlite .xml"
            " .gz .xz .bz2 .zst .zip .tar",
        ),
    )
    for extension in extensions.split()
}
_CODE = (FileKind.SHARED_LIBRARY, FileKind.STATIC_LIBRARY, FileKind.BYTECODE, FileKind.PYTHON_SOURCE)
_VERSIONED = re.compile(r"\.so\.[0-9A-Za-z_.-]+$")


def kind_of(path: str, mode: int) -> FileKind:
    """Return the kind of a regular file; `mode` tells programs by their execute bits."""
    directory, _, name = path.rpartition("/")
    place = _place(directory)
    if place in (FileKind.CACHE, FileKind.DATABASE):
        return place
    kind = _by_name(name)
    if kind is FileKind.DEVICE_CODE or (place is not FileKind.TESTS and kind in _CODE):
        return kind
    if place is not None:
        return place
    return kind or (FileKind.PROGRAM if mode & 0o111 else FileKind.OTHER)


@lru_cache(maxsize=1 << 14)
def _place(directory: str) -> FileKind | None:
    """Return what a directory says of everything below it."""
    found = {match.lastgroup or "" for match in _PATTERN.finditer(f"{directory}/")}
    return FileKind[min(found, key=lambda name: _RANK[name])] if found else None


def _by_name(name: str) -> FileKind | None:
    _, dot, extension = name.rpartition(".")
    kind = _BY_EXTENSION.get(dot + extension)
    return FileKind.SHARED_LIBRARY if kind is None and ".so." in name and _VERSIONED.search(name) else kind
