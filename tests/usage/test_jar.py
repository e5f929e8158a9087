"""Java archives: the programs that their classes start, on made-up classes."""

import io
import struct
import zipfile
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbloat.model.filetree import FileTree
from mlbloat.model.image import ImageConfig
from mlbloat.model.use import Level, Reason
from mlbloat.usage.ground import Ground
from mlbloat.usage.jar import JarReader, learn, strings
from tests.support.trees import tree_of


def java_class(names: Sequence[str], texts: Sequence[str]) -> bytes:
    """Write the constants of a class: names of other classes, a long in between, strings."""
    constants, number = b"", 1
    for tag, values in ((7, names), (8, texts)):
        for value in values:
            raw = value.encode()
            constants += b"\x01" + struct.pack(">H", len(raw)) + raw + bytes([tag]) + struct.pack(">H", number)
            number += 2
        constants += b"\x05" + bytes(8)
        number += 2
    return b"\xca\xfe\xba\xbe" + struct.pack(">HHH", 0, 65, number) + constants + bytes(8)


def jar(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


SHELL = java_class(["java/lang/ProcessBuilder"], ["chmod", "ls -l", "no such", "/usr/bin/id", "", "%s"])
OTHER = java_class(["java/lang/String", "java/lang/Runtime"], ["mkfs"])
NATIVE = java_class(["java/lang/System", "loadLibrary"], ["codec", "sh"])
RUNTIME = java_class(["java/lang/Runtime", "exec"], ["id"])


def tree(content: bytes) -> FileTree:
    programs = {f"/usr/bin/{name}": "#!/bin/sh\n" for name in ("chmod", "ls", "id", "mkfs")}
    return tree_of({**programs, "/opt/lib/a.jar": content})


def test_programs_that_a_class_starts_are_safe() -> None:
    image = tree(jar({"a/Shell.class": SHELL, "a/Other.class": OTHER, "a/mkfs.txt": SHELL}))
    uses = list(JarReader(Ground(image, ImageConfig(document=b"{}"))).read(image["/opt/lib/a.jar"]))
    assert [use.path for use in uses] == ["/usr/bin/chmod", "/usr/bin/ls", "/usr/bin/id"]
    assert {(use.level, use.reason) for use in uses} == {(Level.SAFE, Reason.MAY_RUN)}


def test_a_class_that_asks_the_runtime_for_something_else_starts_nothing() -> None:
    assert learn(io.BytesIO(jar({"a/Other.class": OTHER, "a/Runtime.class": RUNTIME}))).commands == ("id",)


def test_libraries_that_a_class_loads_are_safe() -> None:
    libraries = {"/usr/lib/jni/libcodec.so": "", "/usr/lib/libother.so": "", "/usr/lib/jni/libsh.so": ""}
    image = tree_of({**libraries, "/opt/a.jar": jar({"a/Native.class": NATIVE}), "/opt/b.jar": jar({"B.class": SHELL})})
    reader = JarReader(Ground(image, ImageConfig(document=b"{}")))
    found = [(use.path, use.level, use.reason) for use in reader.read(image["/opt/a.jar"])]
    assert found == [(f"/usr/lib/jni/lib{name}.so", Level.SAFE, Reason.MAY_LOAD) for name in ("codec", "sh")]


def test_the_class_path_of_a_manifest_is_safe() -> None:
    manifest = (
        b"Manifest-Version: 1.0\r\nClass-Path: lib/b.jar ../share/a-very-long-\r\n name.jar none.jar\r\nX: y.jar\r\n"
    )
    files = {"/opt/lib/b.jar": b"", "/share/a-very-long-name.jar": b"", "/opt/y.jar": b""}
    image = tree_of({**files, "/opt/a.jar": jar({"META-INF/MANIFEST.MF": manifest})})
    found = list(JarReader(Ground(image, ImageConfig(document=b"{}"))).read(image["/opt/a.jar"]))
    assert [use.path for use in found] == ["/opt/lib/b.jar", "/share/a-very-long-name.jar"]
    assert {(use.level, use.reason) for use in found} == {(Level.SAFE, Reason.MAY_LOAD)}


def test_only_archives_by_their_suffix_are_read() -> None:
    image = tree_of({"/opt/a.zip": jar({"a/Shell.class": SHELL}), "/usr/bin/chmod": "#!/bin/sh\n"})
    assert list(JarReader(Ground(image, ImageConfig(document=b"{}"))).read(image["/opt/a.zip"])) == []


def test_the_strings_of_a_class_are_its_constants() -> None:
    assert list(strings(SHELL)) == [b"chmod", b"ls -l", b"no such", b"/usr/bin/id", b"", b"%s"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no archive" * 50, jar({"a.class": b"\xca\xfe\xba\xbe"})])
def test_what_is_no_archive_of_classes_leads_nowhere(content: bytes) -> None:
    assert learn(io.BytesIO(content)).commands == ()


def test_a_directory_that_claims_too_much_is_not_read() -> None:
    content = bytearray(jar({"a/Shell.class": SHELL}))
    at = content.rfind(b"PK\5\6")
    content[at + 12 : at + 16] = (1 << 30).to_bytes(4, "little")
    assert learn(io.BytesIO(bytes(content))).commands == ()


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_damaged_archives_and_classes_never_fail(data: st.DataObject) -> None:
    whole = bytearray(jar({"a/Shell.class": SHELL, "b/Shell.class": SHELL}))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    learn(io.BytesIO(bytes(whole)))
    content = bytearray(SHELL)
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    list(strings(bytes(content)))
