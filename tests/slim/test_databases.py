"""Package databases of a slim image say what is there: no package that is gone, no file that is gone."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import structs

from mlbloat import proving
from mlbloat.image import load, squash
from mlbloat.model.filetree import FileTree
from mlbloat.model.image import Image
from mlbloat.model.mark import Mark
from mlbloat.model.plan import Plan
from mlbloat.model.use import Level, Reason, Use
from mlbloat.packages import take_inventory
from mlbloat.slim import SlimImage, make_plan, parse_destination, publish, write
from mlbloat.verify import compare
from tests.slim import installed
from tests.slim.installed import CONDA, KEPT, LAYER, SITE
from tests.slim.stacks import mark, marks_keeping
from tests.support import engines, images, trivy
from tests.support.images import Members
from tests.support.trees import Hard, Link

DATABASES = ("/var/lib/dpkg/", "/lib/apk/", f"{CONDA}/conda-meta/")


def opened(directory: Path, *layers: Members) -> Image:
    path = images.oci_archive(directory / "original.tar", layers or (LAYER,), config={"Cmd": ["/usr/lib/lib.so"]})
    (directory / "original").mkdir()
    return load(f"oci-archive:{path}", directory / "original")


READ = Use("", Level.TRACED, Reason.OPENED, "run")


def judged(tree: FileTree, *kept: str, touched: tuple[str, ...] = (), how: Use = READ) -> tuple[Mark, ...]:
    """What scanners need is pinned, as marking does it; `touched` is what a run read, or needed otherwise."""
    pinned = {path for package in take_inventory(tree).packages for path in package.database} | {
        path for path in tree if path.startswith(DATABASES)
    }
    marks = {each.path: each for each in marks_keeping(tree, *(kept or KEPT))}
    marks |= {path: mark(path, Level.LINKED, pinned=True) for path in pinned & marks.keys()}
    for path, each in marks.items():
        uses = tuple(structs.replace(use, reason=Reason.METADATA) for use in each.uses)
        if path in touched:
            uses += (structs.replace(how, path=path),)
        marks[path] = structs.replace(each, uses=uses)
    return tuple(marks.values())


def cut(image: Image, *kept: str, touched: tuple[str, ...] = (), how: Use = READ) -> Plan:
    tree = squash(image)
    marks = judged(tree, *kept, touched=touched, how=how)
    return make_plan(image, tree, marks, Level.SAFE, inventory=take_inventory(tree))


def slimmed(image: Image, plan: Plan, directory: Path) -> tuple[SlimImage, FileTree]:
    written = write(image, plan, directory / "layout")
    (directory / "slim").mkdir()
    loaded = load(f"oci-dir:{written.directory}", directory / "slim")
    rewritten = {path: plan.rewritten[squash(image)[path].inode] for path in plan.cut}
    removed = (*plan.removed, *plan.removed_directories)
    documents = (image.config.document, loaded.config.document)
    assert compare(squash(image), squash(loaded), *documents, removed, rewritten=rewritten, labels={}) == ()
    return written, squash(loaded)


def text(tree: FileTree, path: str) -> str:
    return tree.read(tree[path]).decode()


@pytest.fixture
def slim(tmp_path: Path) -> FileTree:
    image = opened(tmp_path)
    return slimmed(image, cut(image), tmp_path)[1]


def test_every_database_lists_exactly_what_has_payload_left(slim: FileTree) -> None:
    # `base` has no payload, and `lib` requires it; nothing requires `lonely`.
    left = take_inventory(slim)
    assert [package.key for package in left.packages] == [
        "apk:lib-apk@/",
        "apt:base@/",
        "apt:lib@/",
        f"conda:clib@{CONDA}",
        f"pip:pylib@{SITE}",
    ]
    assert left.problems == ()
    assert "P:lib-apk" in text(slim, "/lib/apk/db/installed")
    assert "extra-apk" not in text(slim, "/lib/apk/db/installed")


def test_status_loses_stanzas_and_conffiles_and_nothing_else(slim: FileTree) -> None:
    wanted = installed.STATUS.split("\n\n")
    lib = wanted[0].replace(" /etc/lib.d/gone 4567\n", "")
    status = text(slim, "/var/lib/dpkg/status")
    assert status.split("\n\n") == [lib, wanted[2], wanted[4]]
    assert sorted(path for path in slim if path.startswith("/var/lib/dpkg/info/")) == [
        "/var/lib/dpkg/info/base.list",
        "/var/lib/dpkg/info/lib.list",
        "/var/lib/dpkg/info/lib.md5sums",
    ]
    assert text(slim, "/var/lib/dpkg/info/lib.list") == "/.\n/usr\n/usr/lib\n/usr/lib/lib.so\n/etc/lib.conf\n"
    assert text(slim, "/var/lib/dpkg/info/lib.md5sums") == "0" * 32 + "  usr/lib/lib.so\n"


STATES = "/var/lib/apt/extended_states"


@pytest.mark.parametrize("touched", [(), (STATES,)])
def test_extended_states_lose_the_packages_that_status_loses(tmp_path: Path, touched: tuple[str, ...]) -> None:
    states = "".join(
        f"Package: {name}\nArchitecture: amd64\nAuto-Installed: {auto}\n\n"
        for name, auto in (("lib", 1), ("extra", 1), ("lonely", 0), ("base", 1), ("never-installed", 1))
    )
    image = opened(tmp_path, {**dict(LAYER), STATES: states})
    _, slim = slimmed(image, cut(image, *KEPT, STATES, touched=touched), tmp_path)
    named = [line.removeprefix("Package: ") for line in text(slim, STATES).split("\n") if line.startswith("Package: ")]
    assert named == (
        ["lib", "extra", "lonely", "base", "never-installed"] if touched else ["lib", "base", "never-installed"]
    )


def test_a_record_loses_rows_and_a_distribution_that_is_gone_its_directory(slim: FileTree) -> None:
    assert text(slim, f"{SITE}/pylib-1.0.dist-info/RECORD") == (
        "pylib/__init__.py,sha256=abc,3\npylib-1.0.dist-info/METADATA,,\npylib-1.0.dist-info/RECORD,,\n"
    )
    assert not [path for path in slim if "pyextra-1.0.dist-info" in path]


def test_a_conda_record_loses_files_in_both_its_lists(slim: FileTree) -> None:
    record = json.loads(text(slim, f"{CONDA}/conda-meta/clib-1.0-0.json"))
    assert record["files"] == ["lib/clib.so"]
    assert [path["_path"] for path in record["paths_data"]["paths"]] == ["lib/clib.so"]
    assert record["build"] == "0"
    assert f"{CONDA}/conda-meta/cextra-1.0-0.json" not in slim


def test_apk_loses_files_with_what_describes_them(slim: FileTree) -> None:
    assert text(slim, "/lib/apk/db/installed") == (
        "C:Q1aaaa=\nP:lib-apk\nV:1.0-r0\nA:x86_64\nF:usr/lib\nR:apk.so\na:0:0:755\nZ:Q1bbbb=\nF:usr/share/apk\n\n"
    )


def test_owner_mode_and_time_of_a_database_that_is_cut_stay(tmp_path: Path) -> None:
    odd = images.Member(value=installed.STATUS, mode=0o600, uid=5, gid=6, mtime=99.5, xattrs={"user.a": b"1"})
    image = opened(tmp_path, dict(LAYER) | {"/var/lib/dpkg/status": odd})
    _, tree = slimmed(image, cut(image), tmp_path)
    entry = tree["/var/lib/dpkg/status"]
    assert (entry.mode, entry.uid, entry.gid, entry.mtime, entry.xattrs) == (0o600, 5, 6, 99.5, (("user.a", b"1"),))


def test_nothing_changes_when_nothing_is_removed(tmp_path: Path) -> None:
    image = opened(tmp_path)
    plan = cut(image, *squash(image))
    assert (plan.removed, plan.cut, plan.removed_directories) == ((), (), ())
    assert plan.layers[0].untouched


@pytest.mark.parametrize(
    "how",
    [
        READ,
        Use("", Level.SAFE, Reason.LISTED, "run", pinned=True),
        Use("", Level.SAFE, Reason.REPAIRED, "run", pinned=True),
        Use("", Level.SAFE, Reason.ASKED, "/app/main.py"),
    ],
)
def test_what_a_run_read_listed_or_lacked_stays_as_it_is(tmp_path: Path, how: Use) -> None:
    image = opened(tmp_path)
    record = f"{SITE}/pyextra-1.0.dist-info/METADATA"
    plan = cut(image, touched=("/var/lib/dpkg/status", record), how=how)
    assert not [path for path in plan.cut if path.startswith("/var/lib/dpkg")]
    assert record in plan.kept
    assert f"{SITE}/pyextra-1.0.dist-info" in plan.kept


def test_a_record_that_a_package_cache_shares_stays_as_it_is(tmp_path: Path) -> None:
    record = f"{SITE}/pylib-1.0.dist-info/RECORD"
    image = opened(tmp_path, dict(LAYER) | {"/pkgs/pylib/RECORD": Hard(record)})
    plan = cut(image)
    assert record in plan.kept and record not in plan.cut


def test_checksums_follow_what_was_cut(tmp_path: Path) -> None:
    record = f"{SITE}/pylib-1.0.dist-info/RECORD"
    sums = installed.SUMS + "2" * 32 + f"  {record[1:]}\n"
    names = installed.LISTS["lib"] + record + "\n"
    owned = {"/var/lib/dpkg/info/lib.md5sums": sums, "/var/lib/dpkg/info/lib.list": names}
    image = opened(tmp_path, dict(LAYER) | owned)
    _, tree = slimmed(image, cut(image), tmp_path)
    digest = hashlib.md5(tree.read(tree[record]), usedforsecurity=False).hexdigest()
    assert f"{digest}  {record[1:]}\n" in text(tree, "/var/lib/dpkg/info/lib.md5sums")


def test_an_rpm_database_is_kept_whole_and_said(tmp_path: Path) -> None:
    image = opened(tmp_path, dict(LAYER) | {"/var/lib/rpm/rpmdb.sqlite": "SQLite"})
    plan = cut(image, *KEPT, "/var/lib/rpm/rpmdb.sqlite")
    assert plan.flags == (
        "the rpm database /var/lib/rpm is kept whole: it still names packages and files that were removed",
    )


def test_a_distroless_image_loses_whole_files_of_status_d(tmp_path: Path) -> None:
    stanzas = {
        "/var/lib/dpkg/status.d/lib": installed._stanza("lib"),
        "/var/lib/dpkg/status.d/lib.md5sums": "0" * 32 + "  usr/lib/lib.so\n",
        "/var/lib/dpkg/status.d/extra": installed._stanza("extra"),
        "/var/lib/dpkg/status.d/extra.md5sums": "0" * 32 + "  usr/bin/extra\n",
    }
    image = opened(tmp_path, {"/usr/lib/lib.so": "so", "/usr/bin/extra": "x", **stanzas})
    _, tree = slimmed(image, cut(image), tmp_path)
    assert [path for path in tree if path.startswith("/var/lib/dpkg/status.d/")] == [
        "/var/lib/dpkg/status.d/lib",
        "/var/lib/dpkg/status.d/lib.md5sums",
    ]


def test_a_database_of_dpkg_behind_a_link_is_cut_where_the_link_leads(tmp_path: Path) -> None:
    admin = "/usr/lib/sysimage/dpkg"
    moved = {path.replace("/var/lib/dpkg", admin): value for path, value in dict(LAYER).items()}
    image = opened(tmp_path, {**moved, "/var/lib/dpkg": Link(admin)})
    _, tree = slimmed(image, cut(image), tmp_path)
    assert "extra" not in text(tree, f"{admin}/status")
    assert text(tree, f"{admin}/info/lib.list") == "/.\n/usr\n/usr/lib\n/usr/lib/lib.so\n/etc/lib.conf\n"
    assert f"{admin}/info/extra.list" not in tree
    assert take_inventory(tree).problems == ()


def test_databases_in_lower_layers_are_cut_where_they_are(tmp_path: Path) -> None:
    image = opened(tmp_path, LAYER, {"/app": "a"})
    plan = cut(image, *KEPT, "/app")
    written, tree = slimmed(image, plan, tmp_path)
    assert [layer.unchanged for layer in written.layers] == [False, True]
    assert "extra" not in text(tree, "/var/lib/dpkg/status")


def test_a_package_of_which_a_run_reads_only_the_configuration_keeps_its_record(tmp_path: Path) -> None:
    apk = installed.APK.replace("R:apk-extra\nZ:Q1eeee=\n", "R:apk-extra\nZ:Q1eeee=\nF:etc\nR:extra.conf\n")
    image = opened(tmp_path, {**dict(LAYER), "/lib/apk/db/installed": apk})
    original = squash(image)
    _, slim = slimmed(image, cut(image, touched=("/etc/extra.conf",)), tmp_path)
    assert "/usr/bin/extra" not in slim
    assert {"apt:extra@/", "apk:extra-apk@/"} < {package.key for package in take_inventory(slim).packages}
    assert text(slim, "/var/lib/dpkg/info/extra.list") == "/.\n/etc/extra.conf\n"
    assert "P:extra-apk\nV:2.0-r0\nA:x86_64\nF:usr/bin\nF:etc\nR:extra.conf\n" in text(slim, "/lib/apk/db/installed")
    assert is_accepted(original, slim)


def test_a_slim_image_is_accepted_also_when_nobody_knows_what_a_run_read(tmp_path: Path) -> None:
    record = "/var/lib/dpkg/info/extra.list"
    image = opened(tmp_path)
    _, slim = slimmed(image, cut(image, *KEPT, record, touched=(record,)), tmp_path)
    assert text(slim, record) == installed.LISTS["extra"]
    assert "Package: extra\n" in text(slim, "/var/lib/dpkg/status")
    assert is_accepted(squash(image), slim)


def is_accepted(original: FileTree, slim: FileTree) -> bool:
    """Tell whether `mlbloat verify` takes a tree for a slim one of another."""
    allowed = proving.allowed(original, slim)
    return compare(original, slim, b"{}", b"{}", allowed.removed, rewritten=allowed.rewritten) == ()


@pytest.mark.engine
def test_syft_lists_exactly_the_packages_with_payload_left(tmp_path: Path) -> None:
    image = opened(tmp_path)
    before = scanned(f"oci-dir:{images.oci_dir(tmp_path / 'layout-of-original', [LAYER])}")
    assert before == {"base", "extra", "lib", "lonely", "pyextra", "pylib", "extra-apk", "lib-apk", "removed"}
    written, _ = slimmed(image, cut(image), tmp_path)
    place = publish(written.directory, parse_destination(f"oci-archive:{tmp_path}/slim.tar"))
    assert scanned(place) == {"base", "lib", "pylib", "lib-apk", "removed"}


@pytest.mark.corpus
def test_trivy_lists_exactly_the_packages_with_payload_left(tmp_path: Path) -> None:
    image = opened(tmp_path)
    before = trivy.packages(images.oci_dir(tmp_path / "layout-of-original", [LAYER]), tmp_path / "cache")
    assert {name for _, name in before} == {
        "base",
        "extra",
        "lib",
        "lonely",
        "pyextra",
        "pylib",
        "extra-apk",
        "lib-apk",
    }
    written, _ = slimmed(image, cut(image), tmp_path)
    after = trivy.packages(written.directory, tmp_path / "cache")
    assert {name for _, name in after} == {"base", "lib", "pylib", "lib-apk"}


def scanned(reference: str) -> set[str]:
    """What syft finds; it does not look for conda environments in images, and counts what dpkg has deinstalled."""
    syft = Path(sys.executable).with_name("syft")
    program = str(syft) if syft.exists() else engines.program("syft")
    environment = {**os.environ, "SYFT_CHECK_FOR_APP_UPDATE": "false"}
    done = subprocess.run((program, reference, "-q", "-o", "json"), capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return {artifact["name"] for artifact in json.loads(done.stdout)["artifacts"]}
