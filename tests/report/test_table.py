"""The report in a terminal: what a newcomer must be able to read."""

from dataclasses import replace

import pytest

from mlbloat.errors import UsageError
from mlbloat.model.removal import RemovedPart, RemovedReport, RiskyReport, SafeOnlyReport
from mlbloat.model.report import DeviceLibraryReport, DevicePartReport, GpuReport, Report
from mlbloat.report import Output, parse_output
from mlbloat.report.table import render, render_verdict
from mlbloat.report.units import count, percent, size
from tests.support.reports import report, slimmed


def test_the_headline_says_what_is_used_reachable_and_unused() -> None:
    text = render(report())
    assert "docker:app:1" in text
    assert "used" in text and "60 B   60.0 %  touched by the profile" in text
    assert "30 B   30.0 %  another input may need it: kept at safe" in text
    assert "10 B   10.0 %  nothing reaches it" in text
    assert "bloat 40.0 %, removable 10.0 %" in text
    assert "+ 5 B in lower layers" in text


def test_static_figures_say_that_nothing_was_run() -> None:
    static = report()
    static = replace(static, evidence=replace(static.evidence, mode="static"))
    assert "what the image's command reaches (not run)" in render(static)


def test_every_part_of_the_report_is_shown() -> None:
    text = render(slimmed())
    for part in ("safe ←", "libx", "RUN make it", "apt-lists", "docker:app:slim", "50.0 % less", "Verified", "a flag"):
        assert part in text
    assert "cannot read /var/lib/dpkg/status" in text


def test_text_has_no_escapes_unless_color_is_asked_for() -> None:
    assert "\x1b" not in render(slimmed())
    assert "\x1b[" in render(slimmed(), color=True)


def test_lines_fit_the_width_and_have_no_trailing_blanks() -> None:
    lines = render(slimmed(), width=110).splitlines()
    assert max(map(len, lines)) <= 110
    assert not [line for line in lines if line != line.rstrip()]


@pytest.mark.parametrize(
    ("case", "says"),
    [
        (slimmed(), "Verified"),
        (slimmed(held_out=False), "Verified only on what was profiled"),
        (slimmed(runs=False), "Compared: nothing but deletions. Not verified by running"),
        (slimmed(passed=False), "Verification failed"),
    ],
)
def test_the_verdict_never_says_more_than_was_proved(case: Report, says: str) -> None:
    verdict = case.verdict
    assert verdict is not None
    assert render_verdict(verdict).splitlines()[0].startswith(says)


def test_a_failed_run_shows_its_differences() -> None:
    verdict = slimmed(passed=False).verdict
    assert verdict is not None
    assert "FAIL  verify   check" in render_verdict(verdict)
    assert "exit 1" in render_verdict(verdict)


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (12_345, "12.3 kB"), (999_499, "999 kB"), (999_600, "1.00 MB")],
)
def test_sizes_have_three_digits_and_a_unit(number: int, text: str) -> None:
    assert size(number) == text


def test_what_is_not_known_is_a_dash() -> None:
    assert (size(None), percent(None)) == ("-", "-")


def test_counts_agree_with_their_noun() -> None:
    assert (count(1, "file"), count(2000, "file")) == ("1 file", "2,000 files")


def test_an_output_is_a_format_and_perhaps_a_file() -> None:
    assert parse_output("json=a=b.json") == Output("json", "a=b.json")
    assert parse_output("table=-") == Output("table", "")
    with pytest.raises(UsageError, match="cannot print a report as 'pdf'; formats are table, html, "):
        parse_output("pdf")


def _made_by(created_by: str) -> Report:
    case = report()
    (layer,) = case.image.layers
    return replace(case, image=replace(case.image, layers=(replace(layer, created_by=created_by),)))


@pytest.mark.parametrize("text", ["RUN [ -f x ] && [bold]y", "COPY [/bin/sh] [/]", "RUN :smile: 12 'a'"])
def test_text_of_an_image_is_never_markup(text: str) -> None:
    assert text in render(_made_by(text))


@pytest.mark.parametrize("color", [False, True])
def test_text_of_an_image_cannot_write_to_the_terminal(color: bool) -> None:
    shown = render(_made_by("RUN \x1b[2J\udce9"), color=color)
    assert "RUN \\x1b[2J\\udce9" in shown
    assert "\x1b[2J" not in shown


def test_a_finding_is_a_row_with_its_advice_below() -> None:
    case = report()
    (finding,) = case.findings
    case = replace(case, findings=(replace(finding, advice="RUN clean " * 20),))
    lines = render(case).splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("Findings"))
    header, row, *advice = lines[start + 1 : lines.index("", start)]
    assert row.split() == ["7", "B", "apt-lists", "package", "lists"]
    indent = header.index("what") + 2
    assert len(advice) > 1
    assert all(line[:indent].isspace() and line[indent] != " " for line in advice)
    assert " ".join(" ".join(advice).split()) == ("RUN clean " * 20).strip()


def test_code_for_gpus_is_shown_by_gpu_with_what_such_a_gpu_loads() -> None:
    parts = {"sm_90": 600, "sm_90a": 100, "ptx_80": 200, "ptx_90": 50, "lto_75": 40, "gfx90a:xnack+": 10}
    gpu = GpuReport(
        device_bytes=1000,
        by_arch={name: DevicePartReport(bytes=size, entries=1) for name, size in parts.items()},
        libraries=(DeviceLibraryReport(path="/x.so", size_bytes=2000, device_bytes=1000, by_arch={}),),
        loaded_bytes={"sm_90": 740, "gfx90a": 10},
    )
    text = render(replace(report(used=9960), gpu=gpu))
    lines = text.splitlines()
    start = lines.index("Code for GPUs: 1.00 kB in 1 file, 10.0 % of the image")
    assert [line.split() for line in lines[start + 2 : start + 6]] == [
        "sm_90 700 B 70.0 % 740 B".split(),
        "PTX, compiled when loaded 250 B 25.0 %".split(),
        "LTO, linked when loaded 40 B 4.0 %".split(),
        "gfx90a 10 B 1.0 % 10 B".split(),
    ]
    text = render(replace(report(), gpu=replace(gpu, gpus=("sm_80", "sm_90"), needed_bytes=740)))
    assert "sm_80 and sm_90 load 740 B of it, 260 B is for others" in text
    many = {f"sm_{number}": DevicePartReport(bytes=1, entries=1) for number in range(50, 70)}
    assert "8 more" in render(replace(report(), gpu=replace(gpu, by_arch=many, device_bytes=20)))


def test_the_price_of_safe_is_shown_with_its_reason() -> None:
    group = SafeOnlyReport(
        group="pip:scipy@/site", files=2, size_bytes=9000, reason="may be imported by /app/a.py", largest="/site/x.so"
    )
    lines = render(replace(report(), safe_only=(group,))).splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("Kept only at safe (1 of 1)"))
    assert lines[start + 2].split() == "9.00 kB 2 pip:scipy may be imported by /app/a.py".split()


def test_what_goes_is_shown_with_its_risk_and_what_to_do() -> None:
    part = RemovedPart(what="tests", risk="low", files=2, size_bytes=75, needed_if="a program imports its tests")
    risky = RiskyReport(group="pip:x@/s", what="data", risk="high", files=1, size_bytes=25, largest="/s/x")
    removed = RemovedReport(
        files=3, size_bytes=100, low_risk_ratio=0.75, parts=(part,), riskiest=(risky,), advice="Add a run."
    )
    text = render(replace(report(), removed=removed))
    assert "What goes at safe: 100 B, 75.0 % of it of low risk" in text
    assert "riskiest: 25 B of pip:x, data\nAdd a run." in text
    assert "What goes" not in render(replace(report(), removed=replace(removed, size_bytes=0)))
