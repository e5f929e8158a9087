"""Measures on exact bytes: what adds up, what is counted once, what has no ratio."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbloat.metrics import measure, run_reports
from mlbloat.model.devicecode import NO_DEVICE_CODE, Census, Choice, DeviceCode, Part
from mlbloat.model.filetree import Entry, FileTree, Kind
from mlbloat.model.mark import FileClass, Mark
from mlbloat.model.package import Inventory, Manager, Package
from mlbloat.model.report import DirectoryReport, Evidence, LayerReport, ManagerReport, PackageReport, Report, Totals
from mlbloat.model.use import Level, Reason, RunRecord, Use
from tests.support.measured import image_of
from tests.support.trees import Hard, Link, MemoryContents, tree_of

USED, REACHABLE, UNUSED = FileClass.USED, FileClass.REACHABLE, FileClass.UNUSED
LEVELS = {USED: Level.TRACED, REACHABLE: Level.SAFE, UNUSED: None}


def report_of(
    tree: FileTree,
    classes: Mapping[str, FileClass],
    *packages: Package,
    counted_as: Mapping[tuple[int, int], str] | None = None,
    device: Census = NO_DEVICE_CODE,
) -> Report:
    marks = tuple(
        Mark(entry.path, LEVELS[file_class], file_class, ())
        for entry in tree.files()
        for file_class in [classes.get(entry.path, UNUSED)]
    )
    owners: dict[str, tuple[Package, ...]] = {}
    for package in packages:
        for path in package.files:
            owners[path] = (*owners.get(path, ()), package)
    return measure(
        image=image_of(tuple(tree.values())),
        tree=tree,
        inventory=Inventory(packages=packages, owners=owners, counted_as=counted_as or {}),
        marks=marks,
        evidence=Evidence(mode="traced", keep="safe"),
        device=device,
    )


def package(name: str, *files: str, metadata: tuple[str, ...] = (), requires: tuple[str, ...] = ()) -> Package:
    return Package(
        manager=Manager.PIP,
        name=name,
        version="1",
        location="/site",
        files=files,
        metadata=frozenset(metadata),
        requires=tuple(f"pip:{needed}@/site" for needed in requires),
    )


def by_name(report: Report) -> dict[str, PackageReport]:
    return {package.name: package for package in report.packages}


def test_bloat_is_what_no_run_touched_and_removable_what_nothing_reaches() -> None:
    tree = tree_of({"/a": b"x" * 60, "/b": b"x" * 30, "/c": b"x" * 10, "/link": Link("/a")})
    totals = report_of(tree, {"/a": USED, "/b": REACHABLE}).totals
    assert (totals.files, totals.size_bytes) == (3, 100)
    assert (totals.used_bytes, totals.reachable_bytes, totals.unused_bytes) == (60, 30, 10)
    assert (totals.bloat_ratio, totals.removable_ratio) == (0.4, 0.1)


def test_an_empty_image_has_no_ratio() -> None:
    totals = report_of(tree_of({"/empty": b""}), {}).totals
    assert (totals.files, totals.bloat_ratio, totals.removable_ratio) == (1, None, None)


def test_hard_linked_names_weigh_once_and_go_to_the_owner_of_any_of_them() -> None:
    tree = tree_of({"/cache/x": b"x" * 8, "/site/x": Hard("/cache/x")})
    owner = package("p", "/site/x")
    report = report_of(tree, {"/cache/x": USED, "/site/x": USED}, owner, counted_as={(0, 1): "/site/x"})
    assert report.totals.size_bytes == 8
    assert report.managers["pip"].size_bytes == 8
    assert report.managers["unowned"].size_bytes == 0


def test_a_file_of_two_packages_is_counted_once_in_the_image_and_in_both() -> None:
    tree = tree_of({"/site/shared": b"x" * 5})
    report = report_of(tree, {}, package("a", "/site/shared"), package("b", "/site/shared"))
    assert report.totals.size_bytes == report.managers["pip"].size_bytes == 5
    assert [package.size_bytes for package in report.packages] == [5, 5]


def test_a_package_without_payload_has_no_bloat_ratio_and_metadata_is_no_evidence() -> None:
    tree = tree_of({"/site/doc": b"text", "/site/code": b"code"})
    packages = by_name(
        report_of(
            tree,
            {"/site/doc": USED},
            package("only-docs", "/site/doc", metadata=("/site/doc",)),
            package("unused", "/site/code"),
        )
    )
    assert packages["only-docs"].bloat_ratio is None
    assert not packages["only-docs"].direct
    assert packages["unused"].bloat_ratio == 1.0


def test_depth_is_the_breadth_first_level_from_what_runs() -> None:
    tree = tree_of({"/site/a": b"a", "/site/b": b"b", "/site/c": b"c", "/site/d": b"d"})
    packages = by_name(
        report_of(
            tree,
            {"/site/a": USED},
            package("a", "/site/a", requires=("b",)),
            package("b", "/site/b", requires=("c", "a")),
            package("c", "/site/c"),
            package("d", "/site/d", requires=("a",)),
        )
    )
    assert {name: (each.direct, each.required, each.depth) for name, each in packages.items()} == {
        "a": (True, True, 1),
        "b": (False, True, 2),
        "c": (False, True, 3),
        "d": (False, False, None),
    }
    assert packages["a"].required_by == ("pip:b@/site", "pip:d@/site")


def test_shadowed_bytes_are_content_that_the_merged_tree_does_not_show() -> None:
    old = Entry(path="/a", kind=Kind.FILE, size_bytes=7, layer=0, member=1, inode=(0, 1))
    new = Entry(path="/a", kind=Kind.FILE, size_bytes=3, layer=1, member=1, inode=(1, 1))
    report = measure(
        image=image_of((old,), (new,)),
        tree=FileTree({"/a": new}, MemoryContents({})),
        inventory=Inventory(packages=(), owners={}),
        marks=(Mark("/a", Level.TRACED, USED, ()),),
        evidence=Evidence(mode="traced", keep="safe"),
    )
    assert [(layer.size_bytes, layer.shadowed_bytes) for layer in report.image.layers] == [(0, 7), (3, 0)]
    assert (report.totals.size_bytes, report.totals.shadowed_bytes) == (3, 7)


def test_a_pinned_file_counts_at_every_level() -> None:
    tree = tree_of({"/db": b"1234", "/used": b"1"})
    pinned = Mark("/db", Level.LINKED, REACHABLE, (Use("/db", Level.LINKED, Reason.METADATA, "apt", pinned=True),))
    report = measure(
        image=image_of(tuple(tree.values())),
        tree=tree,
        inventory=Inventory(packages=(), owners={}),
        marks=(pinned, Mark("/used", Level.TRACED, USED, ())),
        evidence=Evidence(mode="traced", keep="safe"),
    )
    assert {name: level.size_bytes for name, level in report.levels.items()} == dict.fromkeys(
        ("traced", "linked", "safe", "package"), 5
    )


def test_a_run_is_credited_with_the_files_that_it_touched() -> None:
    tree = tree_of({"/a": b"1", "/b": b"2", "/dir/c": b"3", "/again": Hard("/a")})
    record = RunRecord(name="r", engine="e", tracer="t", seconds=1.23456, exit=0, stdout=b"", stderr=b"")
    uses = [
        Use("/a", Level.TRACED, Reason.OPENED, "run 'r'"),
        Use("/again", Level.TRACED, Reason.OPENED, "run 'r'"),
        Use("/dir", Level.TRACED, Reason.LOOKED_UP, "run 'r'"),
        Use("/dir/c", Level.TRACED, Reason.INTERPRETER, "/a"),
        Use("/b", Level.SAFE, Reason.LISTED, "run 'r'"),
    ]
    later = [*uses, Use("/b", Level.TRACED, Reason.OPENED, "run 's'")]
    first, second = run_reports([(record, uses), (replace(record, name="s"), later)], tree)
    assert (first.files, first.seconds, first.new_files, first.new_bytes) == (2, 1.235, 2, 2)
    assert (second.files, second.new_files, second.new_bytes) == (3, 1, 1)


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(0, 50), st.sampled_from(FileClass), st.sampled_from(["", "p", "q"]), st.booleans()),
        max_size=12,
    )
)
def test_used_reachable_and_unused_add_up_everywhere(files: list[tuple[int, FileClass, str, bool]]) -> None:
    tree = tree_of({f"/site/{number}": b"x" * size for number, (size, *_) in enumerate(files)})
    classes = {f"/site/{number}": file_class for number, (_, file_class, *_) in enumerate(files)}
    owned = {name: [f"/site/{n}" for n, (_, _, owner, _) in enumerate(files) if owner == name] for name in "pq"}
    report = report_of(tree, classes, *(package(name, *paths) for name, paths in owned.items()))
    sums: list[Totals | ManagerReport | PackageReport | LayerReport | DirectoryReport] = [
        report.totals,
        *report.managers.values(),
    ]
    sums += [*report.packages, *report.image.layers, *report.directories]
    for each in sums:
        assert each.used_bytes + each.reachable_bytes + each.unused_bytes == each.size_bytes
    assert sum(manager.size_bytes for manager in report.managers.values()) == report.totals.size_bytes
    assert sum(layer.size_bytes for layer in report.image.layers) == report.totals.size_bytes
    assert report.totals.size_bytes == sum(size for size, *_ in files)


def test_the_kinds_add_up_to_the_image_whatever_owns_the_files() -> None:
    tree = tree_of({"/site/a.py": b"1", "/lib/b.so": b"22", "/lib/c.so": Hard("/lib/b.so"), "/usr/include/d.h": b"333"})
    report = report_of(tree, {"/site/a.py": USED, "/lib/b.so": REACHABLE, "/lib/c.so": REACHABLE})
    assert {name: kind.size_bytes for name, kind in report.kinds.items()} == {
        "python source": 1,
        "shared libraries": 2,
        "headers": 3,
    }
    for part in ("files", "size_bytes", "used_bytes", "reachable_bytes", "unused_bytes"):
        assert sum(getattr(kind, part) for kind in report.kinds.values()) == getattr(report.totals, part)


def test_code_for_gpus_is_a_kind_of_its_own_inside_libraries_and_the_kinds_still_add_up() -> None:
    tree = tree_of(
        {"/lib/a.so": b"x" * 100, "/lib/b.so": b"x" * 50, "/lib/k.cubin": b"x" * 30, "/opt/conda/pkgs/c.so": b"x" * 20}
    )
    parts = {"/lib/a.so": ("sm_80", 60), "/lib/b.so": ("ptx_80", 50), "/lib/k.cubin": ("sm_80", 30)}
    parts["/opt/conda/pkgs/c.so"] = ("sm_90", 5)
    device = {
        tree[path].inode: DeviceCode((Choice(True, (Part(name, size, 1),)),)) for path, (name, size) in parts.items()
    }
    report = report_of(tree, {"/lib/a.so": USED, "/lib/k.cubin": REACHABLE}, device=Census(device, ("sm_90",)))
    kinds = {name: (kind.files, kind.size_bytes, kind.used_bytes) for name, kind in report.kinds.items()}
    assert kinds == {
        "device code": (1, 140, 60),
        "shared libraries": (2, 40, 40),
        "caches": (1, 20, 0),  # a cache is what it is, whatever lies in it
    }
    for part in ("files", "size_bytes", "used_bytes", "reachable_bytes", "unused_bytes"):
        assert sum(getattr(kind, part) for kind in report.kinds.values()) == getattr(report.totals, part)
    gpu = report.gpu
    assert gpu is not None
    assert (gpu.device_bytes, gpu.gpus, gpu.needed_bytes) == (145, ("sm_90",), 55)
    assert {name: (each.bytes, each.entries) for name, each in gpu.by_arch.items()} == {
        "sm_80": (90, 2), "ptx_80": (50, 1), "sm_90": (5, 1),
    }  # fmt: skip
    assert gpu.loaded_bytes == {"sm_80": 140, "sm_90": 55}
    assert [(each.path, each.size_bytes, each.device_bytes) for each in gpu.libraries] == [
        ("/lib/a.so", 100, 60), ("/lib/b.so", 50, 50), ("/lib/k.cubin", 30, 30), ("/opt/conda/pkgs/c.so", 20, 5),
    ]  # fmt: skip


def test_an_image_without_code_for_gpus_has_no_gpu_part() -> None:
    assert report_of(tree_of({"/lib/a.so": b"x"}), {}).gpu is None


def test_orphans_are_summed_by_the_highest_directory_in_which_nothing_has_an_owner() -> None:
    tree = tree_of(
        {"/app/a": b"1", "/app/deep/b": b"22", "/usr/lib/own": b"333", "/usr/lib/stray": b"4444", "/top": b"55555",
         "/usr/lib/x/y/z": b"666666", "/linked": Hard("/usr/lib/own")}
    )  # fmt: skip
    own = package("p", "/usr/lib/own")
    report = report_of(tree, {"/app/a": USED}, own, counted_as={(0, 3): "/usr/lib/own"})
    assert [(each.path, each.size_bytes, each.unused_bytes) for each in report.orphans] == [
        ("/usr/lib/x", 6, 6),
        ("/", 5, 5),
        ("/usr/lib", 4, 4),
        ("/app", 3, 2),
    ]
    assert sum(each.size_bytes for each in report.orphans) == report.managers["unowned"].size_bytes


def test_directories_are_summed_with_all_that_is_below_them_and_linked_content_once_in_each() -> None:
    tree = tree_of(
        {"/usr/lib/a": b"1" * 500, "/usr/lib/deep/b": b"1" * 300, "/usr/share/a": Hard("/usr/lib/a"),
         "/usr/share/c": b"1" * 195, "/srv/small": b"12345", "/usr/lib/deep/again": Hard("/usr/lib/deep/b")}
    )  # fmt: skip
    report = report_of(tree, {"/usr/lib/a": USED, "/usr/share/a": USED, "/usr/share/c": REACHABLE})
    assert [(each.path, each.files, each.size_bytes) for each in report.directories] == [
        ("/", 4, 1000),
        ("/usr", 3, 995),
        ("/usr/lib", 2, 800),
        ("/usr/lib/deep", 1, 300),
        ("/usr/share", 2, 695),
    ]
    root, *_, share = report.directories
    assert (root.used_bytes, root.reachable_bytes, root.unused_bytes) == (500, 195, 305)
    assert (share.used_bytes, share.reachable_bytes, share.unused_bytes) == (500, 195, 0)


def test_what_could_go_frees_the_content_whose_names_all_go() -> None:
    tree = tree_of(
        {"/site/app.py": b"1", "/site/tool.py": b"22", "/site/lib.py": b"333", "/site/kept": Hard("/site/lib.py")}
    )
    packages = (package("app", "/site/app.py"), package("lib", "/site/lib.py"))
    tool = package("tool", "/site/tool.py", requires=("lib",))
    (found,) = report_of(tree, {"/site/app.py": USED}, *packages, tool).removable
    assert (found.package, found.along, found.frees_bytes) == ("pip:tool@/site", ("pip:lib@/site",), 2)


def test_a_package_of_links_beside_removed_files_can_be_pure_bloat() -> None:
    """A link counted into the size of its package, and never into what is removed, would hold it below 1."""
    tree = tree_of({"/site/lib.so.1": b"1234", "/site/lib.so": Link("lib.so.1")})
    (found,) = report_of(tree, {}, package("lib", "/site/lib.so.1")).packages
    assert found.bloat_ratio == 1.0


def test_a_package_of_nothing_but_links_or_documentation_has_no_bloat_and_is_not_used() -> None:
    tree = tree_of({"/site/doc": b"1234", "/site/lib.so": Link("doc")})
    links, documented = report_of(
        tree, {"/site/doc": USED}, package("links"), package("documented", "/site/doc", metadata=("/site/doc",))
    ).packages
    assert (links.bloat_ratio, documented.bloat_ratio) == (None, None)
    assert not (links.direct or documented.direct)


def test_sizes_are_bytes_not_rounded_up_to_blocks() -> None:
    tree = tree_of({"/site/a.py": b"1", "/site/b.py": b"2"})
    (found,) = report_of(tree, {"/site/a.py": USED}, package("p", "/site/a.py", "/site/b.py")).packages
    assert (found.size_bytes, found.bloat_ratio) == (2, 0.5)


def test_a_file_of_two_packages_is_counted_once_in_the_image_and_in_both_packages() -> None:
    tree = tree_of({"/site/shared": b"1234"})
    report = report_of(tree, {}, package("a", "/site/shared"), package("b", "/site/shared"))
    assert (report.totals.size_bytes, report.managers["pip"].size_bytes) == (4, 4)
    assert [each.size_bytes for each in report.packages] == [4, 4]


def test_a_package_of_configuration_that_a_run_read_is_direct_and_does_not_go() -> None:
    tree = tree_of(
        {"/etc/services": b"tcp", "/etc/protocols": b"ip", "/etc/idle": b"1", "/usr/share/doc/netbase": b"d"}
    )
    netbase = package(
        "netbase", "/etc/protocols", "/etc/services", "/usr/share/doc/netbase", metadata=("/usr/share/doc/netbase",)
    )
    idle = package("idle", "/etc/idle")
    used = report_of(tree, {"/etc/services": USED, "/etc/protocols": USED, "/etc/idle": REACHABLE}, netbase, idle)
    assert by_name(used)["netbase"].direct
    assert [each.package for each in used.removable] == ["pip:idle@/site"]
    reachable = report_of(tree, {"/etc/services": REACHABLE}, netbase, idle)
    assert [each.package for each in reachable.removable] == ["pip:netbase@/site", "pip:idle@/site"]


@pytest.mark.parametrize("manager", [Manager.APT, Manager.CONDA])
def test_a_python_package_that_another_manager_ships_goes_with_that_and_its_bytes_count_once(manager: Manager) -> None:
    tree = tree_of({"/site/foo.py": b"code", "/site/foo.dist-info/METADATA": b"meta", "/site/own.py": b"1"})
    twin = replace(
        package("foo", "/site/foo.dist-info/METADATA", "/site/foo.py"), database=("/site/foo.dist-info/METADATA",)
    )
    shipping = replace(twin, manager=manager, name="python3-foo", location="/", database=("/db",))
    own = replace(package("own", "/site/own.py"), database=("/site/own.py",))
    found = report_of(tree, {}, shipping, own, twin).removable
    assert [(each.package, each.frees_bytes) for each in found] == [(shipping.key, 8), (own.key, 1)]
    assert [each.package for each in report_of(tree, {"/site/foo.py": USED}, shipping, own, twin).removable] == [
        own.key
    ]
