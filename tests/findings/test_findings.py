from collections.abc import Iterable, Iterator, Mapping
from typing import BinaryIO

import pytest
from msgspec import structs

from mlbloat.findings import MAX_PATHS, find
from mlbloat.model.digest import Digest
from mlbloat.model.filetree import Entry, FileTree, Kind
from mlbloat.model.image import Image, ImageConfig, Layer, Platform
from mlbloat.model.mark import FileClass, Mark
from mlbloat.model.package import Inventory, Manager, Package
from mlbloat.model.report import Finding
from tests.support.trees import Hard, MemoryContents, tree_of

NOTHING = MemoryContents({})
SITE = "/usr/lib/python3.11/site-packages"


class NoBytes:
    """LayerSource of layers that are only looked at."""

    def open(self, entry: Entry) -> BinaryIO:
        raise AssertionError(entry)

    def members(self, entries: Iterable[Entry]) -> Iterator[bytes]:
        raise AssertionError(entries)


def image_of(*layers: tuple[str, list[Entry]]) -> Image:
    """An image of (created_by, entries) per layer; members are numbered as they come."""
    return Image(
        reference="dir:/tmp/image",
        id=Digest.of(b""),
        digest=None,
        platform=Platform(),
        config=ImageConfig(document=b"{}"),
        layers=tuple(
            Layer(
                diff_id=Digest.of(str(number).encode()),
                created_by=created_by,
                tar_bytes=0,
                compressed_bytes=None,
                entries=tuple(structs.replace(entry, layer=number, member=at) for at, entry in enumerate(entries)),
                source=NoBytes(),
            )
            for number, (created_by, entries) in enumerate(layers)
        ),
    )


def findings(
    files: Mapping[str, bytes | str | None],
    *packages: Package,
    used: tuple[str, ...] = (),
    reachable: tuple[str, ...] = (),
) -> dict[str, Finding]:
    """The findings of a tree whose files are unused but for those that are named, by rule."""
    tree = tree_of(files)
    classes = {**dict.fromkeys(used, FileClass.USED), **dict.fromkeys(reachable, FileClass.REACHABLE)}
    marks = tuple(
        Mark(path=entry.path, level=None, file_class=classes.get(entry.path, FileClass.UNUSED), uses=())
        for entry in tree.files()
    )
    found = find(image_of(), tree, Inventory(packages=packages, owners={}), marks)
    assert len({finding.rule for finding in found}) == len(found)
    return {finding.rule: finding for finding in found}


def shadowed(image: Image, tree: FileTree) -> tuple[Finding, ...]:
    return find(image, tree, Inventory(packages=(), owners={}), ())


@pytest.mark.parametrize(
    ("rule", "path", "shown", "line"),
    [
        ("pip-cache", "/root/.cache/pip/http/a/b", "/root/.cache/pip", "ENV PIP_NO_CACHE_DIR=1"),
        ("uv-cache", "/home/u/.cache/uv/archive-v0/x", "/home/u/.cache/uv", "ENV UV_NO_CACHE=1"),
        ("apt-cache", "/var/cache/apt/archives/a_1_amd64.deb", "/var/cache/apt", "apt-get clean "),
        ("apt-lists", "/var/lib/apt/lists/deb.example_InRelease", "/var/lib/apt/lists", "rm -rf /var/lib/apt/lists/*"),
        ("conda-cache", "/root/.conda/pkgs/a/lib/a.so", "/root/.conda/pkgs", "conda clean --all"),
    ],
)
def test_a_cache_is_found_with_its_bytes_its_place_and_the_line_that_avoids_it(
    rule: str, path: str, shown: str, line: str
) -> None:
    found = findings({path: b"x" * 70, "/bin/app": b"\x7fELF"})
    assert set(found) == {rule}
    assert found[rule].bytes == 70
    assert found[rule].paths == (shown,)
    assert line in found[rule].advice
    assert found[rule].severity == "warning"


def test_a_clean_image_and_empty_files_give_no_findings() -> None:
    assert findings({"/bin/app": b"\x7fELF", "/var/lib/apt/lists/lock": b"", "/usr/share/doc/a/README": ""}) == {}


def test_a_cache_that_a_run_touched_is_not_waste() -> None:
    lists = "/var/lib/apt/lists/"
    found = findings({f"{lists}a": b"xx", f"{lists}b": b"yyy"}, used=(f"{lists}b",))
    assert found["apt-lists"].bytes == 2


def test_cached_files_that_are_linked_into_an_environment_would_free_nothing() -> None:
    conda = Package(manager=Manager.CONDA, name="a", version="1", location="/opt/conda")
    found = findings(
        {
            "/opt/conda/pkgs/a-1/lib/a.so": b"shared",
            "/opt/conda/lib/a.so": Hard("/opt/conda/pkgs/a-1/lib/a.so"),
            "/opt/conda/pkgs/a-1/info/index.json": b"{ }",
            "/opt/conda/pkgs/twice": b"four",
            "/opt/conda/pkgs/again": Hard("/opt/conda/pkgs/twice"),
            "/opt/other/pkgs/a": b"not a prefix",
        },
        conda,
    )
    assert found["conda-cache"].bytes == len(b"{ }") + len(b"four")
    assert found["conda-cache"].paths == ("/opt/conda/pkgs",)


def test_unused_headers_and_static_libraries_are_found_and_needed_ones_are_not() -> None:
    found = findings(
        {
            "/usr/include/a.h": b"1",
            "/usr/include/used.h": b"22",
            "/usr/include/reachable.h": b"333",
            "/usr/lib/liba.a": b"4444",
            "/usr/lib/liba.so": b"55555",
            "/usr/lib/pkgconfig/a.pc": b"666666",
        },
        used=("/usr/include/used.h",),
        reachable=("/usr/include/reachable.h",),
    )["development-files"]
    assert found.bytes == 1 + 4 + 6
    assert found.paths == ("/usr/lib/pkgconfig", "/usr/lib/liba.a", "/usr/include")
    assert found.advice == "RUN INSTALL && rm -rf /usr/lib/pkgconfig /usr/lib/liba.a /usr/include/a.h"


def test_development_packages_of_which_nothing_is_needed_are_purged_where_they_are_installed() -> None:
    def package(name: str, path: str) -> Package:
        copyright_file = f"/usr/share/doc/{name}/copyright"
        return Package(manager=Manager.APT, name=name, version="1", location="/", files=(path, copyright_file),
                       metadata=frozenset({copyright_file}))  # fmt: skip

    found = findings(
        {
            "/usr/include/a.h": b"1",
            "/usr/include/b.h": b"2",
            "/usr/include/c.h": b"3",
            "/usr/share/doc/liba-dev/copyright": b"",
        },
        package("liba-dev", "/usr/include/a.h"),
        package("libb-dev:i386", "/usr/include/b.h"),
        package("libc-dev", "/usr/include/c.h"),
        reachable=("/usr/include/c.h",),
        used=("/usr/share/doc/liba-dev/copyright",),
    )["development-files"]
    assert found.advice == (
        "RUN apt-get update && apt-get install --yes liba-dev libb-dev:i386 && BUILD"
        " && apt-get purge --yes --auto-remove liba-dev libb-dev:i386"
    )


def test_documentation_is_found_without_the_licences() -> None:
    found = findings(
        {
            "/usr/share/doc/a/README": b"1",
            "/usr/share/doc/a/copyright": b"22",
            "/usr/share/man/man1/a.1.gz": b"333",
            "/usr/share/man/de/man1/a.1.gz": b"4",
            "/usr/share/documents/a": b"55555",
        },
        Package(manager=Manager.APT, name="a", version="1", location="/"),
    )["documentation"]
    assert found.bytes == 1 + 3 + 1
    assert found.paths == ("/usr/share/man", "/usr/share/doc/a")
    assert "path-exclude=" in found.advice
    assert "path-include=/usr/share/doc/*/copyright" in found.advice


@pytest.mark.parametrize(
    ("manager", "advice"),
    [
        (Manager.APK, "RUN INSTALL && rm -rf /usr/share/man"),
        (Manager.RPM, "RUN dnf install --assumeyes --setopt=tsflags=nodocs PACKAGES"),
    ],
)
def test_documentation_is_left_out_in_the_way_of_the_distribution(manager: Manager, advice: str) -> None:
    package = Package(manager=manager, name="a", version="1", location="/")
    assert findings({"/usr/share/man/man1/a.1.gz": b"1"}, package)["documentation"].advice == advice


def test_documentation_outside_of_dpkgs_reach_is_removed_file_by_file_beside_a_licence() -> None:
    found = findings({"/opt/x/share/doc/a/README": b"1", "/opt/x/share/doc/a/copyright": b"22"})["documentation"]
    assert found.advice == "RUN INSTALL && rm -rf /opt/x/share/doc/a/README"


def test_test_suites_count_only_where_nothing_in_them_is_needed() -> None:
    found = findings(
        {
            f"{SITE}/a/tests/test_a.py": b"1",
            f"{SITE}/a/tests/data/tests/x": b"22",
            f"{SITE}/b/test/test_b.py": b"333",
            f"{SITE}/b/test/helper.py": b"4444",
            f"{SITE}/testing/c.py": b"55555",
            "/usr/lib/python3.11/test/regrtest.py": b"666666",
            "/app/tests/test_app.py": b"7777777",
        },
        reachable=(f"{SITE}/b/test/helper.py",),
    )["unused-tests"]
    assert found.bytes == 1 + 2 + 6
    assert found.paths == ("/usr/lib/python3.11/test", f"{SITE}/a/tests")
    assert found.advice == f"RUN INSTALL && rm -rf /usr/lib/python3.11/test {SITE}/a/tests"


def test_paths_are_bounded_largest_first_and_quoted_for_the_shell() -> None:
    found = findings({f"/lib/{number:02} $x.a": b"x" * (number + 1) for number in range(30)})["development-files"]
    assert found.paths == tuple(f"/lib/{number:02} $x.a" for number in range(29, 29 - MAX_PATHS, -1))
    assert found.advice.startswith("RUN INSTALL && rm -rf '/lib/29 $x.a' '/lib/28 $x.a'")


def test_paths_that_a_dockerfile_cannot_hold_on_one_line_stay_out_of_the_advice() -> None:
    found = findings({"/lib/a\nRUN evil.a": b"x", "/lib/b.a": b"x"})["development-files"]
    assert found.bytes == 2
    assert found.advice == "RUN INSTALL && rm -rf /lib/b.a"


def test_findings_come_most_bytes_first() -> None:
    rules = list(findings({"/root/.cache/pip/a": b"1", "/usr/share/doc/a/b": b"333", "/var/lib/apt/lists/a": b"22"}))
    assert rules == ["documentation", "apt-lists", "pip-cache"]


def file(path: str, size_bytes: int) -> Entry:
    return Entry(path=path, kind=Kind.FILE, size_bytes=size_bytes)


def test_content_that_a_later_layer_deletes_or_overwrites_is_found_per_pair_of_layers() -> None:
    image = image_of(
        (
            "/bin/sh -c make",
            [file("/keep", 1), file("/d/deleted", 20), file("/d/more/deleted", 300), file("/over", 4000)],
        ),
        ("RUN /bin/sh -c rm -rf /d # buildkit", [Entry(path="/d", kind=Kind.WHITEOUT)]),
        ("RUN /bin/sh -c write /over # buildkit", [file("/over", 5)]),
    )
    tree = FileTree(
        {
            "/keep": structs.replace(image.layers[0].entries[0], inode=(0, 0)),
            "/over": structs.replace(image.layers[2].entries[0], inode=(2, 0)),
        },
        NOTHING,
    )
    over, deleted = shadowed(image, tree)
    assert (over.rule, over.bytes, over.paths) == ("shadowed-bytes", 4000, ("/over",))
    assert over.title == "Content of layer 0 (make) that layer 2 (write /over) deletes or overwrites"
    assert over.advice == "RUN make && write /over"
    assert (deleted.bytes, deleted.paths) == (320, ("/d/more/deleted", "/d/deleted"))
    assert deleted.advice == "RUN make && rm -rf /d"


@pytest.mark.parametrize(
    "hider",
    [
        Entry(path="/d", kind=Kind.OPAQUE),
        Entry(path="/d", kind=Kind.SYMLINK, target="/e"),
        Entry(path="/d/f", kind=Kind.SYMLINK, target="/e"),
        Entry(path="/d/f", kind=Kind.DIRECTORY),
        Entry(path="/", kind=Kind.OPAQUE),
    ],
)
def test_whatever_hides_content_names_its_layer(hider: Entry) -> None:
    image = image_of(("one", [file("/d/f", 9)]), ("two", [Entry(path="/d", kind=Kind.DIRECTORY)]), ("three", [hider]))
    (found,) = shadowed(image, FileTree({}, NOTHING))
    assert found.title == "Content of layer 0 (one) that layer 2 (three) deletes or overwrites"


def test_content_that_still_has_a_name_is_not_shadowed() -> None:
    image = image_of(("one", [file("/a", 9)]), ("two", [Entry(path="/a", kind=Kind.WHITEOUT)]))
    tree = FileTree({"/b": structs.replace(image.layers[0].entries[0], path="/b", inode=(0, 0))}, NOTHING)
    assert shadowed(image, tree) == ()


def test_a_path_twice_in_one_layer_is_shadowed_by_that_layer() -> None:
    image = image_of(("one", [file("/a", 9), file("/a", 2)]))
    tree = FileTree({"/a": structs.replace(image.layers[0].entries[1], inode=(0, 1))}, NOTHING)
    (found,) = shadowed(image, tree)
    assert found.bytes == 9
    assert found.advice == "RUN one"


@pytest.mark.parametrize(
    ("lower", "upper", "advice"),
    [
        (
            "/bin/sh -c #(nop) COPY dir:0123 in /tmp/wheels/ ",
            "/bin/sh -c rm -rf /tmp/wheels",
            "RUN --mount=type=bind,source=SOURCE,target=/tmp/wheels/ INSTALL",
        ),
        (
            "COPY wheels /tmp/wheels # buildkit",
            "RUN |1 A=b /bin/sh -c chown -R u /tmp/wheels # buildkit",
            "COPY --chown=OWNER --chmod=MODE SOURCE /tmp/wheels",
        ),
        ("", "RUN /bin/sh -c rm /a # buildkit", "COPY --from=FULL_IMAGE / /"),
        ("make", "COPY a /a # buildkit", "COPY --from=FULL_IMAGE / /"),
        ("RUN make # buildkit", "RUN clean # buildkit", "RUN make && clean"),
        ("make\n  all", "RUN |2 A=b C=d /bin/bash -o pipefail -c clean", "RUN make all && clean"),
        ("make \x1b[31m", "rm /a", "COPY --from=FULL_IMAGE / /"),
    ],
)
def test_the_line_that_avoids_shadowed_bytes_follows_from_the_two_steps(lower: str, upper: str, advice: str) -> None:
    image = image_of((lower, [file("/a", 9)]), (upper, [Entry(path="/a", kind=Kind.WHITEOUT)]))
    (found,) = shadowed(image, FileTree({}, NOTHING))
    assert found.advice == advice
    assert found.title.isprintable()
