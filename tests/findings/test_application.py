"""Large data of the application: what only its own directory keeps."""

from collections.abc import Mapping

import pytest

from mlbloat import findings
from mlbloat.findings.application import LARGE_BYTES
from mlbloat.model.mark import FileClass, Mark
from mlbloat.model.package import Inventory
from mlbloat.model.report import Finding
from mlbloat.model.use import Level, Reason, Use
from tests.findings.test_findings import image_of
from tests.support.trees import Hard, tree_of

OWN = (Reason.APPLICATION, "/app", Level.SAFE)
HALF = b"x" * (LARGE_BYTES // 2)
Reasons = Mapping[str, tuple[tuple[Reason, str, Level], ...]]
RUN = (Reason.OPENED, "run 'train'", Level.TRACED)


def found(files: Mapping[str, bytes | str | Hard | None], reasons: Reasons) -> Finding | None:
    """The finding about files that are kept for these reasons, beside a script that a run opened."""
    tree = tree_of({"/app/main.py": "", **files})
    marks = []
    for entry in tree.files():
        given = reasons.get(entry.path, (OWN,)) if entry.path != "/app/main.py" else reasons.get(entry.path, (RUN,))
        uses = tuple(Use(entry.path, level, reason, by) for reason, by, level in given)
        level = min((use.level for use in uses), default=None)
        used = FileClass.USED if level is Level.TRACED else FileClass.REACHABLE
        marks.append(Mark(entry.path, level, used, uses))
    told = findings.find(image_of(), tree, Inventory(packages=(), owners={}), tuple(marks))
    return next((each for each in told if each.rule == "large-application-data"), None)


def test_a_large_file_and_a_large_directory_of_small_ones_are_found_with_what_leaves_them_out() -> None:
    told = found(
        {"/app/data/a": HALF, "/app/data/b/c": HALF + b"y", "/app/weights bin": HALF + HALF, "/app/small": HALF}, {}
    )
    assert told is not None
    assert (told.bytes, told.severity) == (2 * LARGE_BYTES + 1, "note")
    assert told.paths == ("/app/data", "/app/weights bin")
    assert told.advice == "COPY --exclude=data '--exclude=weights bin' SOURCE /app"


@pytest.mark.parametrize(
    "reason",
    [RUN, (Reason.NAMED, "/app/main.py", Level.SAFE), (Reason.KEEP_RULE, "/app/**", Level.SAFE)],
    ids=["a run opened it", "a script names it", "a rule keeps it"],
)
def test_what_anything_else_keeps_is_no_finding(reason: tuple[Reason, str, Level]) -> None:
    assert found({"/app/data": HALF + HALF}, {"/app/data": (OWN, reason)}) is None


def test_a_package_that_would_keep_it_at_a_higher_level_changes_nothing() -> None:
    more = (Reason.SAME_PACKAGE, "/app/main.py", Level.PACKAGE)
    assert found({"/app/data": HALF + HALF}, {"/app/data": (OWN, more)}) is not None


def test_less_than_large_is_no_finding_and_links_count_once() -> None:
    assert found({"/app/data/a": HALF, "/app/data/b": Hard("/app/data/a")}, {}) is None
    assert found({"/app/data/a": HALF, "/app/data/b": HALF[1:]}, {}) is None


def test_another_name_outside_of_the_application_is_not_shown_and_keeps_the_bytes() -> None:
    reasons = {"/srv/data": (OWN,)}
    assert found({"/app/data": HALF + HALF, "/srv/data": Hard("/app/data")}, reasons) is None


def test_nothing_is_said_when_nothing_ran() -> None:
    assert found({"/app/data": HALF + HALF}, {"/app/main.py": (OWN,)}) is None
