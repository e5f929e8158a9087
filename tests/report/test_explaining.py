"""What a saved report explains, in the words of the image's own explanation."""

from dataclasses import replace

import pytest

from mlbloat.errors import UsageError
from mlbloat.metrics import measure
from mlbloat.model.package import Inventory, Manager, Package
from mlbloat.model.report import Evidence, RemovableReport, Report
from mlbloat.model.use import Level, Reason, Use
from mlbloat.report import json
from mlbloat.report.explaining import explain, explain_package
from mlbloat.usage import explain as of_image
from mlbloat.usage.marking import mark
from tests.support.measured import image_of
from tests.support.reports import report
from tests.support.trees import tree_of

TREE = tree_of(
    {"/bin/y": "y", "/lib/a.so": "a", "/lib/b.so": "b", "/doc": "d", "/own": "o", "/etc/x": "x", "/pin": "p"}
)
OWNER = Package(manager=Manager.APT, name="p", version="1.2", location="/", files=("/bin/y", "/doc"))
INVENTORY = Inventory(packages=(OWNER,), owners={"/bin/y": (OWNER,), "/doc": (OWNER,)})
USES = (
    Use("/bin/y", Level.TRACED, Reason.EXECUTED, "run 'train'"),
    Use("/lib/a.so", Level.SAFE, Reason.MAY_LOAD, "/bin/y"),
    Use("/lib/b.so", Level.SAFE, Reason.NEEDED, "/lib/a.so"),
    Use("/lib/a.so", Level.SAFE, Reason.NEEDED, "/lib/b.so"),
    Use("/pin", Level.LINKED, Reason.METADATA, "the packages", pinned=True),
    Use("/lib/b.so", Level.SAFE, Reason.KEEP_RULE, "/lib/**", pinned=True),
)
MARKS = mark(TREE, INVENTORY, USES, drop=("/etc/**",), traced=True)


def saved() -> Report:
    made = measure(
        image=image_of(tuple(TREE.values())),
        tree=TREE,
        inventory=INVENTORY,
        marks=MARKS,
        evidence=Evidence(mode="traced", keep="safe"),
        with_files=True,
    )
    return json.parse(json.render_files(made).encode(), "saved")


@pytest.mark.parametrize("path", ["/bin/y", "/lib/a.so", "/lib/b.so", "/own", "/etc/x", "/pin"])
def test_a_report_says_of_a_file_what_its_image_says(path: str) -> None:
    assert explain(saved(), path) == of_image.explain(path, TREE, MARKS, INVENTORY)


def test_an_unused_file_names_the_key_of_its_owner() -> None:
    assert explain(saved(), "/doc")[:2] == ("/doc: nothing reached it", "owned by the package apt:p@/")
    assert explain(saved(), "/doc")[3:5] == (
        "/doc (package): in the same package as /bin/y",
        "/bin/y (traced): executed by run 'train'",
    )


def test_a_report_without_files_says_what_to_do() -> None:
    with pytest.raises(
        UsageError, match=r"it has no rows of files; save it with -o json-files=FILE, or explain docker:app:1"
    ):
        explain(report(), "/bin/y")


def test_a_path_that_is_not_there_is_an_error() -> None:
    with pytest.raises(
        UsageError, match="cannot explain /nowhere from this report: it has no such file; check the spelling"
    ):
        explain(saved(), "/nowhere")


def test_a_chain_that_bites_its_tail_ends() -> None:
    made = saved()
    assert made.files is not None
    rows = tuple(replace(file, by="/lib/b.so") if file.path == "/lib/a.so" else file for file in made.files)
    assert len(explain(replace(made, files=rows), "/lib/a.so")) <= 3


def test_a_package_is_explained_by_the_graph() -> None:
    made = report()
    (first,) = made.packages
    below = replace(first, name="below", requested=False, direct=False, depth=2, required_by=("apt:libx@/",))
    idle = replace(first, name="idle", requested=None, direct=False, required=False, depth=None, required_by=())
    made = replace(
        made,
        packages=(replace(first, requires=("apt:below@/",)), below, idle),
        removable=(RemovableReport(package="apt:idle@/", along=(), frees_bytes=1),),
    )
    assert explain_package(made, "below") == (
        "apt:below@/ 1.0: 3 files (1 used)",
        "  why it is installed: apt:libx@/ was asked for: apt:libx@/ → apt:below@/",
        "  who needs it: apt:libx@/ → apt:below@/, and some of apt:libx@/ is used",
        "  as a whole: it stays, or goes only with what requires it",
    )
    assert explain_package(made, "apt:idle@/")[2:] == (
        "  who needs it: nothing that runs requires it",
        "  as a whole: apt:idle@/ could go",
    )
    with pytest.raises(UsageError, match="the report has no such package; there is idle"):
        explain_package(made, "idl")
