from collections.abc import Container

from hypothesis import given, settings
from hypothesis import strategies as st

from mlbloat.model import graph
from mlbloat.model.package import Inventory, Manager, Package


def package(name: str, *requires: str, essential: bool = False, requested: bool | None = None) -> Package:
    return Package(
        manager=Manager.APT,
        name=name,
        version="1",
        location="/",
        files=(f"/usr/bin/{name}", f"/etc/{name}", f"/usr/share/doc/{name}"),
        metadata=frozenset({f"/usr/share/doc/{name}"}),
        requires=tuple(f"apt:{each}@/" for each in requires),
        essential=essential,
        requested=requested,
    )


def inventory(*packages: Package) -> Inventory:
    return Inventory(packages=packages, owners={})


def candidates(found: Inventory, needed: Container[str], used: Container[str] = ()) -> frozenset[str]:
    return graph.unneeded(found, is_needed=needed.__contains__, is_used=used.__contains__)


def unneeded(found: Inventory, *needed: str, used: tuple[str, ...] = ()) -> set[str]:
    return {key.split(":")[1].split("@")[0] for key in candidates(found, (*needed, *used), used)}


def removals(found: Inventory, *needed: str) -> dict[str, list[str]]:
    return {
        removal.key.split(":")[1].split("@")[0]: [key.split(":")[1].split("@")[0] for key in removal.along]
        for removal in graph.removals(found, candidates(found, needed))
    }


def test_needed_is_what_has_a_needed_file_what_that_requires_and_what_is_essential() -> None:
    found = inventory(
        package("app", "lib"), package("lib", "base"), package("base"), package("init", essential=True), package("idle")
    )
    assert unneeded(found, "/usr/bin/app") == {"idle"}


def test_configuration_that_is_merely_reachable_and_documentation_are_no_need() -> None:
    found = inventory(package("a"), package("b"))
    assert unneeded(found, "/etc/a", "/usr/share/doc/b") == {"a", "b"}


def test_configuration_that_is_used_is_a_need_and_used_documentation_is_none() -> None:
    found = inventory(package("a"), package("b"))
    assert unneeded(found, used=("/etc/a", "/usr/share/doc/b")) == {"b"}


def test_a_package_goes_with_what_only_it_needs_and_nobody_asked_for() -> None:
    found = inventory(
        package("app", "shared"),
        package("tool", "library", "shared", "wanted"),
        package("library", "deep"),
        package("deep"),
        package("shared"),
        package("wanted", requested=True),
    )
    assert removals(found, "/usr/bin/app") == {"tool": ["deep", "library"]}


def test_packages_that_need_each_other_go_together_once() -> None:
    found = inventory(package("a", "b"), package("b", "a"), package("app"))
    assert removals(found, "/usr/bin/app") == {"a": ["b"]}


def test_the_way_between_packages_is_the_shortest() -> None:
    found = [package("a", "b", "c"), package("b", "d"), package("c", "e"), package("d", "e"), package("e")]
    edges = {each.key: each.requires for each in found}
    assert graph.path_between(["apt:a@/"], "apt:e@/", edges) == ("apt:a@/", "apt:c@/", "apt:e@/")
    assert graph.path_between(["apt:a@/"], "apt:a@/", edges) == ("apt:a@/",)
    assert graph.path_between(["apt:e@/"], "apt:a@/", edges) == ()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=20), st.sets(st.integers(0, 7)))
def test_nothing_that_is_needed_depends_on_anything_that_goes(edges: list[tuple[int, int]], used: set[int]) -> None:
    packages = [package(str(number), *(str(end) for start, end in edges if start == number)) for number in range(8)]
    found = inventory(*packages)
    unneeded_keys = candidates(found, {f"/usr/bin/{number}" for number in used})
    for removal in graph.removals(found, unneeded_keys):
        going = {removal.key, *removal.along}
        assert going <= unneeded_keys
        assert not any(set(each.requires) & going for each in packages if each.key not in going)
