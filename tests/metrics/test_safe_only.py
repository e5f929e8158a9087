"""What only `safe` keeps: grouped by owner, with the way into the group."""

from mlbloat.metrics import measure
from mlbloat.model.chain import CONFIGURATION, next_steps
from mlbloat.model.package import Inventory, Manager, Package
from mlbloat.model.removal import SafeOnlyReport
from mlbloat.model.report import Evidence
from mlbloat.model.use import Level, Reason, Use
from mlbloat.usage.marking import mark
from tests.support.measured import image_of
from tests.support.trees import tree_of

TREE = tree_of({"/app/m.py": "m", "/app/n.py": "nn", "/site/a.py": "a" * 9, "/site/b.so": "b" * 30, "/site/c.py": "c"})
LIBRARY = Package(
    manager=Manager.PIP, name="lib", version="1", location="/site", files=("/site/a.py", "/site/b.so", "/site/c.py")
)
INVENTORY = Inventory(packages=(LIBRARY,), owners=dict.fromkeys(LIBRARY.files, (LIBRARY,)))
USES = (
    Use("/app/m.py", Level.TRACED, Reason.OPENED, "run 'r'"),
    Use("/site/a.py", Level.SAFE, Reason.MAY_IMPORT, "/app/m.py"),
    Use("/site/b.so", Level.SAFE, Reason.NAMED, "/site/a.py"),
)


def groups(*uses: Use) -> tuple[SafeOnlyReport, ...]:
    return measure(
        image=image_of(tuple(TREE.values())),
        tree=TREE,
        inventory=INVENTORY,
        marks=mark(TREE, INVENTORY, (*USES, *uses), traced=True),
        evidence=Evidence(mode="traced", keep="safe"),
    ).safe_only


def test_a_package_has_the_reason_that_leads_into_it_not_those_inside() -> None:
    assert groups() == (
        SafeOnlyReport(
            group="pip:lib@/site", files=2, size_bytes=39, reason="may be imported by /app/m.py", largest="/site/b.so"
        ),
    )


def test_a_package_that_is_used_has_the_reason_where_certainty_ends() -> None:
    (group,) = groups(Use("/site/a.py", Level.TRACED, Reason.OPENED, "run 'r'"))
    assert (group.files, group.reason) == (1, "named in /site/a.py")


def test_files_without_an_owner_are_grouped_by_directory() -> None:
    found = groups(Use("/app/n.py", Level.SAFE, Reason.APPLICATION, "/app"))
    assert [(group.group, group.size_bytes, group.reason) for group in found[1:]] == [
        ("/app", 2, "application file of /app")
    ]


def test_what_a_rule_keeps_at_every_level_is_no_price_of_safe() -> None:
    assert len(groups(Use("/app/n.py", Level.SAFE, Reason.KEEP_RULE, "/app/**", pinned=True))) == 1


def test_the_way_back_is_the_shortest_and_ends_where_nothing_leads() -> None:
    steps = next_steps(
        mark(TREE, INVENTORY, (*USES, Use("/site/a.py", Level.SAFE, Reason.NEEDED, "/site/b.so")), traced=True)
    )
    assert steps["/site/a.py"].by == "/app/m.py"
    assert "/site/c.py" not in {path for path, use in steps.items() if use.level < Level.PACKAGE}


def test_configuration_keeps_its_files_and_leads_nowhere() -> None:
    kept = Use("/app/n.py", Level.SAFE, Reason.CONVENTION, CONFIGURATION)
    steps = next_steps(
        mark(TREE, INVENTORY, (kept, Use("/site/c.py", Level.SAFE, Reason.NAMED, "/app/n.py")), traced=True)
    )
    assert steps["/app/n.py"] == kept
