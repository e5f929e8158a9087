import pytest

from mlbloat.model.filekind import FileKind, kind_of


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/usr/lib/libz.so.1.2.13", FileKind.SHARED_LIBRARY),
        ("/usr/lib/python3/dist-packages/a/_x.cpython-311-x86_64-linux-gnu.so", FileKind.SHARED_LIBRARY),
        ("/usr/lib/python3.11/os.py", FileKind.PYTHON_SOURCE),
        ("/usr/lib/python3.11/__pycache__/os.cpython-311.pyc", FileKind.BYTECODE),
        ("/usr/include/stdio.h", FileKind.HEADERS),
        ("/site/x/include/no_extension", FileKind.HEADERS),
        ("/usr/share/doc/a/copyright", FileKind.DOCUMENTATION),
        ("/opt/a/README.md", FileKind.DOCUMENTATION),
        ("/site/a/tests/test_a.py", FileKind.TESTS),
        ("/usr/lib/libm.a", FileKind.STATIC_LIBRARY),
        ("/models/m.safetensors", FileKind.DATA),
        ("/root/.cache/pip/http/a", FileKind.CACHE),
        ("/root/.cache/pip/a.py", FileKind.CACHE),
        ("/opt/conda/pkgs/a-1-0/lib/a.so", FileKind.CACHE),
        ("/site/a-1.dist-info/RECORD", FileKind.DATABASE),
        ("/var/lib/dpkg/status", FileKind.DATABASE),
        ("/site/kernels/k.cubin", FileKind.DEVICE_CODE),
        ("/site/a/tests/k.fatbin", FileKind.DEVICE_CODE),
        ("/etc/hosts", FileKind.OTHER),
        ("/usr/share/latest/x", FileKind.OTHER),
        ("/usr/bin/.so.", FileKind.OTHER),
    ],
)
def test_the_kind_of_a_file_follows_from_its_place_and_its_name(path: str, kind: FileKind) -> None:
    assert kind_of(path, 0o644) is kind


def test_what_may_be_executed_and_is_nothing_else_is_a_program() -> None:
    assert kind_of("/usr/bin/env", 0o755) is FileKind.PROGRAM
    assert kind_of("/usr/lib/libz.so.1", 0o755) is FileKind.SHARED_LIBRARY
