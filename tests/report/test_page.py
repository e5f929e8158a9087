"""The page: whole without a script, nothing from elsewhere, nothing that a name in an image can break out of."""

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from mlbloat.model.removal import RemovedPart, RemovedReport, RiskyReport, SafeOnlyReport
from mlbloat.model.report import (
    DeviceLibraryReport,
    DevicePartReport,
    DirectoryReport,
    FileReport,
    GpuReport,
    KindReport,
    Report,
    SilencedReport,
)
from mlbloat.report.page import render
from mlbloat.report.page.parts import MAX_FILES
from tests.support.reports import report, slimmed

HOSTILE = '</code></td><script>alert(1)</script>" onload="x\' \x1b[2J \udcff ü'


class Page(HTMLParser):
    """What a browser would find."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}
        self._open: list[str] = [""]
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self._open.append("")

    def handle_data(self, data: str) -> None:
        self.text[self._open[-1]] = self.text.get(self._open[-1], "") + data

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def file(path: str, size_bytes: int = 5, **fields: object) -> FileReport:
    made = FileReport(
        path=path,
        size_bytes=size_bytes,
        same_as="",
        layer=0,
        owners=("apt:libx@/",),
        kind="other",
        file_class="used",
        level="traced",
        pinned_by="",
        reason="opened by",
        by="run 'train'",
        dropped_by="",
    )
    return replace(made, **fields)  # type: ignore[arg-type] # one field each


def full(text: str = "x") -> Report:
    """A report that has everything, with `text` wherever an image may put one."""
    made = slimmed(passed=False)
    assert made.verdict is not None
    sums = {"files": 1, "size_bytes": 5, "used_bytes": 1, "reachable_bytes": 2, "unused_bytes": 2}
    layer, package, run = made.image.layers[0], made.packages[0], made.evidence.runs[0]
    finding, tried = made.findings[0], made.verdict.runs[0]
    return replace(
        made,
        image=replace(made.image, reference=text, layers=(replace(layer, created_by=text),)),
        evidence=replace(made.evidence, runs=(replace(run, name=text),), flags=(text,)),
        packages=(replace(package, name=text, version=text, requires=(f"apt:{text}@/",)),),
        findings=(replace(finding, title=text, advice=text, paths=(text,)),),
        silenced=(SilencedReport(rule="r", title=text, bytes=1, reason=text, until=None),),
        verdict=replace(made.verdict, runs=(replace(tried, name=text, differences=(text,)),)),
        kinds={"other": KindReport(**sums)},
        gpu=GpuReport(
            device_bytes=4000,
            by_arch={"sm_90": DevicePartReport(bytes=4000, entries=2)},
            libraries=(DeviceLibraryReport(path=text, size_bytes=5000, device_bytes=4000, by_arch={}),) * 60,
            loaded_bytes={"sm_90": 3500},
            gpus=("sm_90",),
            needed_bytes=3500,
        ),
        directories=(DirectoryReport(path=text, **sums),),
        orphans=(DirectoryReport(path=text, **sums),),
        safe_only=(SafeOnlyReport(group=text, files=1, size_bytes=5, reason=text, largest=text),),
        removed=RemovedReport(
            files=1,
            size_bytes=5,
            low_risk_ratio=0.5,
            parts=(RemovedPart(what="tests", risk="low", files=1, size_bytes=5, needed_if="x"),),
            riskiest=(RiskyReport(group=text, what="x", risk="high", files=1, size_bytes=5, largest=text),),
            advice=text,
        ),
        problems=(text,),
        files=(file(text, by=text, owners=(text,)),),
    )


def test_text_of_an_image_stays_text() -> None:
    harmless, hostile = Page(render(full("plain"))), Page(render(full(HOSTILE)))
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in harmless.tags]
    assert {name for _, attributes in hostile.tags for name in attributes} == {
        name for _, attributes in harmless.tags for name in attributes
    }
    assert "\\x1b[2J" in hostile.text["code"] and "\\udcff" in hostile.text["code"] and "ü" in hostile.text["code"]


def test_the_policy_allows_its_own_style_and_script_and_nothing_else() -> None:
    page = Page(render(full()))
    (policy,) = [each["content"] or "" for each in page.all("meta") if "http-equiv" in each]
    for kind in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(page.text[kind].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
        assert len(page.all(kind)) == 1
    assert policy.startswith("default-src 'none'; ")


def test_nothing_is_loaded_from_elsewhere() -> None:
    page = Page(render(full()))
    places = [
        value for _, each in page.tags for name, value in each.items() if name in ("href", "src", "srcset", "style")
    ]
    assert places and all(place is not None and place.startswith("#") for place in places)
    assert not re.search(r"url\(|@import", page.text["style"])


def test_every_section_is_in_the_contents_and_there() -> None:
    page = Page(render(full()))
    named = [(each["href"] or "")[1:] for each in page.all("a")]
    assert named == [each["id"] for each in page.all("section")]
    assert named == (
        "levels verification findings gpu removed safe-only managers packages graph layers kinds directories orphans "
        "evidence files"
    ).split()  # fmt: skip


def test_figures_are_in_the_page_without_a_script() -> None:
    text = render(replace(full(), files=(file("/usr/lib/libx.so", 5_000_000),)))
    for shown in (
        "60.0 % used",
        "touched by the profile",
        "/usr/lib/libx.so",
        "5.00 MB",
        "opened by run 'train'",
        "FAIL",
    ):
        assert shown.replace("'", "'") in text


def test_code_for_gpus_has_its_rows() -> None:
    text = render(full())
    assert "4.00 kB in 60 files" in text and "sm_90 loads 3.50 kB of it, 500 B is for others" in text
    assert "10 smaller files are left out here" in text
    assert 'id="gpu"' not in render(report())


def test_a_report_without_rows_of_files_says_how_to_get_them() -> None:
    assert "has no rows of files. Save it with -o json-files=FILE" in render(report())


def test_only_the_largest_files_have_rows_and_the_rest_is_counted() -> None:
    rows = tuple(file(f"/f{number}", number) for number in range(MAX_FILES + 7))
    text = render(replace(report(), files=rows))
    assert "7 smaller files are left out here" in text
    assert "/f7<" in text and "/f6<" not in text


def test_hostile_names_do_not_make_the_page_large() -> None:
    rows = tuple(file("/" + "<" * 4000 + str(number), by="<" * 4000) for number in range(MAX_FILES + 1000))
    packages = tuple(replace(report().packages[0], name="<" * 4000, location=str(number)) for number in range(3000))
    assert len(render(replace(report(), files=rows, packages=packages)).encode()) < 5_000_000


@pytest.mark.parametrize(
    ("case", "state"),
    [
        (slimmed(), "state"),
        (slimmed(held_out=False), "state partly"),
        (slimmed(runs=False), "state partly"),
        (slimmed(passed=False), "state failed"),
    ],
)
def test_the_verdict_is_never_greener_than_what_was_proved(case: Report, state: str) -> None:
    assert state in [each.get("class") for each in Page(render(case)).all("div")]


def test_the_same_report_gives_the_same_page() -> None:
    assert render(full(HOSTILE)) == render(full(HOSTILE))
