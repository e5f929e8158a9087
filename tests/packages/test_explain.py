from dataclasses import replace

import pytest

from mlbloat.errors import UsageError
from mlbloat.model.mark import FileClass, Mark
from mlbloat.model.package import Inventory, Manager, Package
from mlbloat.model.use import Level, Reason, Use
from mlbloat.packages.explain import explain


def package(
    name: str,
    *requires: str,
    manager: Manager = Manager.PIP,
    requested: bool | None = False,
    recommends: tuple[str, ...] = (),
    essential: bool = False,
) -> Package:
    return Package(
        manager=manager,
        name=name,
        version="1.0",
        location="/site",
        files=(f"/site/{name}.py",),
        requires=tuple(f"pip:{each}@/site" for each in requires),
        recommends=tuple(f"pip:{each}@/site" for each in recommends),
        requested=requested,
        essential=essential,
    )


def sentences(name: str, *packages: Package, used: tuple[str, ...] = ()) -> list[str]:
    paths = [path for each in packages for path in each.files]
    use = Use("/site/app.py", Level.TRACED, Reason.OPENED, "run 'train'")
    marks = [
        Mark(path, Level.TRACED, FileClass.USED, (use,)) if path in used else Mark(path, None, FileClass.UNUSED, ())
        for path in paths
    ]
    return list(explain(name, Inventory(packages=packages, owners={}), marks))


def test_a_dependency_is_explained_from_what_was_asked_for_and_from_what_is_used() -> None:
    told = sentences(
        "lib",
        package("app", "server", requested=True),
        package("server", "lib"),
        package("lib"),
        used=("/site/app.py",),
    )
    way = "pip:app@/site → pip:server@/site → pip:lib@/site"
    assert told == [
        "pip:lib@/site 1.0: 1 files (0 used, 0 reachable, 1 unused)",
        f"  why it is installed: pip:app@/site was asked for: {way}",
        f"  who needs it: {way}; of pip:app@/site /site/app.py is used, opened by run 'train'",
        f"  as a whole: it stays: {way}, and some of pip:app@/site is used or reachable",
    ]


def test_what_nothing_needs_is_named_with_what_goes_along_and_the_command() -> None:
    told = sentences("lib", package("tool", "lib", requested=True), package("lib"))
    assert told[2:] == [
        "  who needs it: nothing that runs requires it",
        "  as a whole: pip:tool@/site could go along with pip:lib@/site: PYTHONPATH=/site pip uninstall --yes tool lib",
    ]


@pytest.mark.parametrize(
    ("others", "subject", "why"),
    [
        ([], package("a", requested=True), "it was asked for by name"),
        ([], package("a"), "nothing that is installed requires it, and it was not asked for by name"),
        ([], package("a", requested=None), "nothing that is installed requires it"),
        ([], package("a", essential=True), "it is essential: every system of its distribution has it"),
        # Of what came with the system APT does not say that it was pulled in.
        (
            [],
            package("a", essential=True, requested=True),
            "it is essential: every system of its distribution has it",
        ),
        ([package("b", recommends=("a",))], package("a"), "recommended by pip:b@/site"),
        ([package("b", "a")], package("a"), "required by pip:b@/site; nothing says what was asked for by name"),
    ],
)
def test_why_a_package_is_installed(others: list[Package], subject: Package, why: str) -> None:
    assert sentences("a", subject, *others)[1] == f"  why it is installed: {why}"


@pytest.mark.parametrize(
    ("others", "subject", "used", "why"),
    [
        ([], package("a"), "/site/a.py", "some of it is used or reachable"),
        ([], package("a", essential=True), "", "it is essential, and its manager refuses to remove it"),
        (
            [package("b", "a", essential=True)],
            package("a"),
            "",
            "pip:b@/site → pip:a@/site, and pip:b@/site is essential",
        ),
        (
            [package("b", "a", essential=True), package("c", "a")],
            package("a"),
            "/site/c.py",
            "pip:c@/site → pip:a@/site, and some of pip:c@/site is used or reachable",
        ),
    ],
)
def test_why_a_package_stays(others: list[Package], subject: Package, used: str, why: str) -> None:
    assert sentences("a", subject, *others, used=(used,))[3] == f"  as a whole: it stays: {why}"


def test_every_package_of_the_name_is_explained_and_a_key_names_one() -> None:
    both = (package("a"), package("a", manager=Manager.CONDA))
    assert len(sentences("A", *both)) == 8
    assert len(sentences("conda:a@/site", *both)) == 4
    assert sentences("conda:a", *both) == sentences("conda:a@/site", *both)  # as reports name it
    assert "conda remove --yes --force-remove --prefix /site a" in sentences("conda:a@/site", *both)[3]


def test_a_name_that_is_not_there_gets_the_names_that_are_like_it() -> None:
    with pytest.raises(UsageError, match="cannot explain package lib: the image has no such package; there is mylib"):
        sentences("lib", package("mylib"))


@pytest.mark.parametrize("manager", [Manager.APT, Manager.CONDA])
def test_what_another_manager_ships_goes_with_that(manager: Manager) -> None:
    twin = replace(package("foo"), database=("/site/foo.py",))
    shipping = replace(twin, manager=manager, name="python3-foo", database=())
    inventory = Inventory(packages=(shipping, twin), owners={"/site/foo.py": (shipping, twin)})
    told = explain("foo", inventory, [Mark("/site/foo.py", None, FileClass.UNUSED, ())])
    assert told[3] == f"  as a whole: it stays: {manager}:python3-foo@/site ships it, and it goes with that"
