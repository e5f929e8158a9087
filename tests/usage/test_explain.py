"""The chain of sentences that keeps a file."""

import pytest

from mlbloat.errors import UsageError
from mlbloat.model.chain import CONFIGURATION
from mlbloat.model.package import Inventory, Manager, Package
from mlbloat.model.use import Level, Reason, Use
from mlbloat.usage.explain import explain
from mlbloat.usage.marking import mark
from tests.support.trees import Link, tree_of

TREE = tree_of(
    {"/bin/y": "", "/lib/a.so": "", "/lib/b.so": "", "/doc": "", "/etc/x": "", "/l.so": Link("lib/a.so"), "/dir": None}
)
OWNER = Package(manager=Manager.APT, name="p", version="1.2", location="/", files=("/bin/y", "/doc"))
INVENTORY = Inventory(packages=(OWNER,), owners={"/bin/y": (OWNER,), "/doc": (OWNER,)})
USES = (
    Use("/bin/y", Level.TRACED, Reason.EXECUTED, "train"),
    Use("/lib/a.so", Level.SAFE, Reason.MAY_LOAD, "/bin/y"),
    Use("/lib/a.so", Level.SAFE, Reason.NEEDED, "/lib/b.so"),
    Use("/lib/b.so", Level.SAFE, Reason.NEEDED, "/lib/a.so"),
)


def lines(path: str, *uses: Use, inventory: Inventory = INVENTORY, drop: tuple[str, ...] = ()) -> tuple[str, ...]:
    return explain(path, TREE, mark(TREE, inventory, (*USES, *uses), drop=drop, traced=True), inventory)


def test_a_kept_file_has_the_chain_to_the_run() -> None:
    assert lines("/lib/a.so") == (
        "/lib/a.so (safe): may be loaded by /bin/y",
        "/bin/y (traced): executed by train",
    )


def test_files_that_need_each_other_are_followed_to_the_root() -> None:
    assert lines("/lib/b.so")[-1] == "/bin/y (traced): executed by train"


def test_links_are_resolved() -> None:
    assert lines("/l.so")[0] == "/l.so is a symbolic link to lib/a.so"
    assert lines("/l.so")[1:] == lines("/lib/a.so")


def test_a_pinned_file_says_so() -> None:
    pin = Use("/doc", Level.LINKED, Reason.METADATA, "the packages", pinned=True)
    assert lines("/doc", pin) == ("/doc (pinned): metadata of the packages",)


def test_what_a_listed_file_leads_to_has_its_chain() -> None:
    listed = Use("/doc", Level.SAFE, Reason.LISTED, "run 'r'", pinned=True)
    assert lines("/doc", listed) == ("/doc (pinned): in a directory listed by run 'r'",)
    assert lines("/etc/x", listed, Use("/etc/x", Level.SAFE, Reason.NAMED, "/doc")) == (
        "/etc/x (safe): named in /doc",
        "/doc (pinned): in a directory listed by run 'r'",
    )


def test_configuration_that_is_only_kept_is_no_root() -> None:
    uses = (
        Use("/etc/x", Level.SAFE, Reason.CONVENTION, CONFIGURATION),
        Use("/etc/x", Level.SAFE, Reason.NAMED, "/bin/y"),
        Use("/doc", Level.SAFE, Reason.NAMED, "/etc/x"),
    )
    assert lines("/doc", *uses)[1:] == ("/etc/x (safe): named in /bin/y", "/bin/y (traced): executed by train")


def test_an_unused_file_says_whose_it_is_and_what_would_keep_it() -> None:
    assert lines("/doc") == (
        "/doc: nothing reached it",
        "owned by the apt package p 1.2",
        "kept at --keep package:",
        "/doc (package): in the same package as /bin/y",
        "/bin/y (traced): executed by train",
        'to keep it, add keep: ["/doc"] to the workload file, or a profile run that touches it',
    )


def test_an_unowned_unused_file_says_so() -> None:
    assert lines("/etc/x")[:2] == ("/etc/x: nothing reached it", "no package owns it")


def test_a_dropped_file_names_the_rule_and_the_reason_it_overrides() -> None:
    assert lines("/lib/a.so", drop=("/lib/**",)) == (
        "/lib/a.so: removed by the rule drop: /lib/**",
        "without the rule: /lib/a.so (safe): needed by /lib/b.so",
    )


def test_directories_are_always_kept() -> None:
    assert lines("/dir") == ("/dir: a directory, kept at every level",)


def test_an_unknown_path_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="cannot explain /none"):
        lines("/none")
