"""What an ELF file needs and names, in made-up trees."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbloat.model.image import ImageConfig
from mlbloat.model.package import Inventory
from mlbloat.model.use import Level, Reason
from mlbloat.usage.belongings import Belongings
from mlbloat.usage.elf import ElfReader
from mlbloat.usage.ground import Ground
from tests.support.elf import MACHINE_AARCH64, elf_file
from tests.support.trees import Link, tree_of

Files = dict[str, bytes | str | None]
NOTHING = Inventory(packages=(), owners={})
LIB = elf_file(soname="liba.so.1")


def uses(files: Files, path: str, environment: tuple[tuple[str, str], ...] = ()) -> list[tuple[str, Level, Reason]]:
    tree = tree_of(files)
    ground = Ground(tree, ImageConfig(document=b"{}", environment=environment))
    reader = ElfReader(ground, Belongings(ground, NOTHING))
    return [(use.path, use.level, use.reason) for use in reader.read(tree[path])]


def needed(files: Files, path: str, **environment: str) -> list[str]:
    return [where for where, _, reason in uses(files, path, tuple(environment.items())) if reason is Reason.NEEDED]


def test_the_interpreter_is_linked() -> None:
    files: Files = {"/bin/x": elf_file(interpreter="/lib64/ld.so.2")}
    assert uses(files, "/bin/x") == [("/lib64/ld.so.2", Level.LINKED, Reason.INTERPRETER)]


def test_other_files_lead_nowhere() -> None:
    assert uses({"/x": "libc.so.6 /x"}, "/x") == []


def test_a_needed_library_is_found_in_the_default_directory() -> None:
    assert needed({"/bin/x": elf_file(needed=("liba.so.1",)), "/usr/lib/liba.so.1": LIB}, "/bin/x") == [
        "/usr/lib/liba.so.1"
    ]


def test_a_needed_library_is_found_in_a_multiarch_directory() -> None:
    files: Files = {"/bin/x": elf_file(needed=("liba.so.1",)), "/usr/lib/x86_64-linux-gnu/liba.so.1": LIB}
    assert needed(files, "/bin/x") == ["/usr/lib/x86_64-linux-gnu/liba.so.1"]


def test_ld_so_conf_and_its_includes_are_followed_before_the_defaults() -> None:
    files: Files = {
        "/bin/x": elf_file(needed=("liba.so.1",)),
        "/etc/ld.so.conf": "include /etc/ld.so.conf.d/*.conf\n",
        "/etc/ld.so.conf.d/a.conf": "# own\n/opt/own/lib\n",
        "/opt/own/lib/liba.so.1": LIB,
        "/usr/lib/liba.so.1": LIB,
    }
    assert needed(files, "/bin/x") == ["/opt/own/lib/liba.so.1"]


def test_ld_so_cache_comes_before_the_directories() -> None:
    strings = b"liba.so.1\0/srv/liba.so.1\0"
    row = struct.pack("<iIIIQ", 0x303, 72, 82, 0, 0)
    cache = b"glibc-ld.so.cache1.1" + struct.pack("<II20x", 1, len(strings)) + row + strings
    files: Files = {
        "/bin/x": elf_file(needed=("liba.so.1",)),
        "/etc/ld.so.cache": cache,
        "/srv/liba.so.1": LIB,
        "/usr/lib/liba.so.1": LIB,
    }
    assert needed(files, "/bin/x") == ["/srv/liba.so.1"]


@pytest.mark.parametrize("token", ["$ORIGIN/../own", "${ORIGIN}/../own"])
def test_runpath_is_relative_to_the_file(token: str) -> None:
    files: Files = {
        "/opt/bin/x": elf_file(needed=("liba.so.1",), runpath=token),
        "/opt/own/liba.so.1": LIB,
        "/lib/liba.so.1": LIB,
    }
    assert needed(files, "/opt/bin/x") == ["/opt/own/liba.so.1"]


def test_lib_stands_for_every_library_directory() -> None:
    files: Files = {"/bin/x": elf_file(needed=("liba.so.1",), runpath="/opt/$LIB"), "/opt/lib64/liba.so.1": LIB}
    assert needed(files, "/bin/x") == ["/opt/lib64/liba.so.1"]


def test_rpath_comes_before_and_runpath_after_the_library_path() -> None:
    libraries: Files = {"/own/liba.so.1": LIB, "/env/liba.so.1": LIB}
    old: Files = {"/bin/x": elf_file(needed=("liba.so.1",), rpath="/own"), **libraries}
    new: Files = {"/bin/x": elf_file(needed=("liba.so.1",), runpath="/own"), **libraries}
    assert needed(old, "/bin/x", LD_LIBRARY_PATH="/env") == ["/own/liba.so.1"]
    assert needed(new, "/bin/x", LD_LIBRARY_PATH="/env") == ["/env/liba.so.1"]


def test_a_library_of_another_machine_is_passed_over() -> None:
    files: Files = {
        "/bin/x": elf_file(needed=("liba.so.1",), runpath="/other:/own"),
        "/other/liba.so.1": elf_file(machine=MACHINE_AARCH64),
        "/own/liba.so.1": LIB,
    }
    assert needed(files, "/bin/x") == ["/own/liba.so.1"]


def test_every_hardware_variant_is_needed() -> None:
    files: Files = {
        "/bin/x": elf_file(needed=("liba.so.1",)),
        "/usr/lib/liba.so.1": LIB,
        "/usr/lib/glibc-hwcaps/x86-64-v3/liba.so.1": LIB,
        "/usr/lib/glibc-hwcaps/x86-64-v4/liba.so.1": LIB,
    }
    assert needed(files, "/bin/x") == [
        "/usr/lib/liba.so.1",
        "/usr/lib/glibc-hwcaps/x86-64-v3/liba.so.1",
        "/usr/lib/glibc-hwcaps/x86-64-v4/liba.so.1",
    ]


def test_musl_reads_its_own_path_file() -> None:
    files: Files = {
        "/bin/x": elf_file(needed=("liba.so.1",)),
        "/lib/ld-musl-x86_64.so.1": LIB,
        "/etc/ld-musl-x86_64.path": "/opt/musl\n",
        "/opt/musl/liba.so.1": LIB,
        "/elsewhere/liba.so.1": LIB,
    }
    assert needed(files, "/bin/x") == ["/opt/musl/liba.so.1"]


def test_the_rpath_of_a_program_holds_for_the_libraries_of_its_prefix() -> None:
    program = elf_file(interpreter="/lib/ld.so", rpath="$ORIGIN/../lib") + bytes(1024)
    files: Files = {
        "/opt/env/bin/program": program,
        "/opt/env/lib/liba.so.1": LIB,
        "/opt/env/lib/plugins/p.so": elf_file(needed=("liba.so.1",)),
        "/usr/lib/liba.so.1": LIB,
    }
    assert needed(files, "/opt/env/lib/plugins/p.so") == ["/opt/env/lib/liba.so.1", "/usr/lib/liba.so.1"]


def test_a_library_that_the_rules_do_not_find_is_kept_wherever_it_is() -> None:
    files: Files = {"/site/a/p.so": elf_file(needed=("liba.so.1",)), "/site/b/lib/liba.so.1": LIB}
    assert needed(files, "/site/a/p.so") == ["/site/b/lib/liba.so.1"]


def test_a_library_under_another_file_name_is_found_by_its_soname() -> None:
    files: Files = {"/site/a/p.so": elf_file(needed=("liba.so.1",)), "/site/b/lib/liba-77.so": LIB}
    assert needed(files, "/site/a/p.so") == ["/site/b/lib/liba-77.so"]


def test_preloaded_libraries_are_needed_by_programs_only() -> None:
    files: Files = {"/bin/x": elf_file(interpreter="/ld"), "/lib/y.so": elf_file(), "/opt/liba.so.1": LIB}
    assert needed(files, "/bin/x", LD_PRELOAD="/opt/liba.so.1") == ["/opt/liba.so.1"]
    assert needed(files, "/lib/y.so", LD_PRELOAD="/opt/liba.so.1") == []


def test_a_missing_library_leads_nowhere() -> None:
    assert needed({"/bin/x": elf_file(needed=("libgone.so",))}, "/bin/x") == []


def test_a_library_named_in_the_data_may_be_loaded() -> None:
    files: Files = {
        "/x.so": elf_file(strings=("cannot open libplug.so.3",)),
        "/usr/lib/libplug.so.3": Link("libplug.so.3.1"),
    }
    assert uses(files, "/x.so") == [("/usr/lib/libplug.so.3", Level.SAFE, Reason.MAY_LOAD)]


def test_a_library_that_only_a_request_makes_another_one_load_is_not_loaded() -> None:
    files: Files = {
        "/lib/libc.so.6": elf_file(soname="libc.so.6", strings=("libidn2.so.0", "libgcc_s.so.1")),
        "/lib/libx.so.1": elf_file(soname="libx.so.1", strings=("libidn2.so.0",)),
        "/usr/lib/libidn2.so.0": "",
        "/usr/lib/libgcc_s.so.1": "",
    }
    assert [path for path, _, _ in uses(files, "/lib/libc.so.6")] == ["/usr/lib/libgcc_s.so.1"]
    assert [path for path, _, _ in uses(files, "/lib/libx.so.1")] == ["/usr/lib/libidn2.so.0"]


def test_a_bare_stem_stands_for_its_versions_and_not_for_longer_names() -> None:
    files: Files = {
        "/x.so": elf_file(strings=("libplug.so",)),
        "/usr/lib/libplug.so.3": "",
        "/usr/lib/libplugin.so": "",
    }
    assert uses(files, "/x.so") == [("/usr/lib/libplug.so.3", Level.SAFE, Reason.MAY_LOAD)]


def test_names_that_follow_each_other_are_all_found() -> None:
    files: Files = {"/x.so": elf_file(strings=("liba.so", "libb.so.2", "libc.so"))}
    files |= {"/usr/lib/liba.so": "", "/usr/lib/libb.so.2": "", "/usr/lib/libc.so": ""}
    assert [path for path, _, _ in uses(files, "/x.so")] == [
        "/usr/lib/liba.so",
        "/usr/lib/libb.so.2",
        "/usr/lib/libc.so",
    ]


def test_a_name_across_two_chunks_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlbloat.usage.elf.facts._CHUNK", 8)
    files: Files = {"/x.so": elf_file(strings=("padding", "libplug.so.3")), "/usr/lib/libplug.so.3": ""}
    assert uses(files, "/x.so") == [("/usr/lib/libplug.so.3", Level.SAFE, Reason.MAY_LOAD)]


def test_paths_in_the_data_count_when_they_exist() -> None:
    files: Files = {
        "/x.so": elf_file(strings=("/bin/sh", "/etc/x.conf", "/etc/none.conf", "/opt/share")),
        "/bin/sh": "#!x",
        "/etc/x.conf": "",
        "/opt/share/page.html": "",
    }
    assert set(uses(files, "/x.so")) == {
        ("/bin/sh", Level.SAFE, Reason.MAY_RUN),
        ("/etc/x.conf", Level.SAFE, Reason.NAMED),
        ("/opt/share/page.html", Level.SAFE, Reason.NAMED),
    }


def test_shared_and_large_directories_do_not_count() -> None:
    many: Files = {f"/opt/large/{number}": "" for number in range(300)}
    files: Files = {"/x.so": elf_file(strings=("/usr/share", "/opt/large")), "/usr/share/a": "", **many}
    assert uses(files, "/x.so") == []


def test_strings_without_an_end_mark_are_taken_apart() -> None:
    files: Files = {"/x": elf_file(strings=("/etc/a.conf/etc/b.conflibplug.so",)), "/etc/a.conf": "", "/etc/b.conf": ""}
    files["/usr/lib/libplug.so"] = ""
    assert {path for path, _, _ in uses(files, "/x")} == {"/etc/a.conf", "/etc/b.conf", "/usr/lib/libplug.so"}


def test_a_longer_path_that_is_missing_does_not_stand_for_a_shorter_one() -> None:
    files: Files = {"/x": elf_file(strings=("", "/usr/bin/tool-config")), "/usr/bin/tool": "#!x"}
    assert uses(files, "/x") == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), max_size=10))
def test_mutated_files_never_raise(changes: list[tuple[int, int]]) -> None:
    raw = bytearray(
        elf_file(needed=("liba.so.1",), runpath="$ORIGIN", interpreter="/ld", strings=("/etc/a", "libb.so"))
    )
    for at, value in changes:
        raw[at % len(raw)] = value
    assert all(
        use[1] in {Level.LINKED, Level.SAFE}
        for use in uses({"/x": bytes(raw), "/etc/a": "", "/lib/liba.so.1": LIB}, "/x")
    )


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=300))
def test_a_hostile_cache_never_raises(tail: bytes) -> None:
    files: Files = {"/bin/x": elf_file(needed=("liba.so.1",)), "/etc/ld.so.cache": b"glibc-ld.so.cache1.1" + tail}
    assert needed(files, "/bin/x") == []
