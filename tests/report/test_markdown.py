"""Markdown for a pull request: short, folded, and no markup of strangers in it."""

import re
from dataclasses import replace

from mlbloat.model.report import LimitReport
from mlbloat.report.markdown import render
from tests.report.test_page import HOSTILE, full
from tests.support.reports import report, slimmed


def test_the_figures_come_first() -> None:
    lines = render(report()).splitlines()
    assert lines[0] == "## mlbloat: <code>docker&#58;app&#58;1</code>"
    assert "**Bloat 40.0 %**, removable 10.0 %." in lines[2]
    assert "| used | 60 B | 60.0 % | touched by the profile |" in lines


def test_limits_and_the_verdict_are_marked() -> None:
    limit = LimitReport(name="max-bloat", measured=0.4, limit=0.3, unit="ratio", passed=False, packages=("pip:x@/s",))
    text = render(replace(slimmed(), limits=(limit,)))
    assert "- ❌ max\\-bloat\\: 40.0 %, limit 30.0 %; see pip\\:x" in text
    assert "✅ Verified\n" in text
    assert "⚠️ Verified only on what was profiled" in render(slimmed(held_out=False))
    assert "❌ Verification failed" in render(slimmed(passed=False))


def test_code_for_gpus_is_folded_with_what_one_loads() -> None:
    text = render(full())
    assert "<summary>Code for GPUs: 4.00 kB in 60 files, 4000.0 % of the image</summary>" in text
    assert "| sm\\_90 | 4.00 kB | 100.0 % | 3.50 kB |" in text
    assert "sm\\_90 loads 3.50 kB of it, 500 B is for others" in text


def test_a_name_cannot_leave_its_cell_be_markup_or_mention_somebody() -> None:
    name = "|a|`b`*c*<script>[d](http://e)@team ![x](y)\n# h " + HOSTILE
    harmless, hostile = render(full("plain")), render(full(name))
    assert len(hostile.splitlines()) == len(harmless.splitlines())
    for plain_line, line in zip(harmless.splitlines(), hostile.splitlines(), strict=True):
        assert len(re.findall(r"(?<!\\)\|", line)) == plain_line.count("|")
        assert set(re.findall(r"<[^>]*>", line)) == set(re.findall(r"<[^>]*>", plain_line))
    assert not re.search(r"(?<!\\)`|[^\\]\]\(|(?<!\\)!\[|@[a-z]", hostile.replace("`--", "--"))


def test_it_fits_into_a_comment_whatever_the_image() -> None:
    made = full("n" * 5000)
    many = replace(
        made,
        findings=made.findings * 500,
        packages=made.packages * 2000,
        safe_only=made.safe_only * 50,
        problems=made.problems * 500,
        image=replace(made.image, layers=made.image.layers * 200),
    )
    assert len(render(many)) < 65_536


def test_what_is_folded_is_closed_again() -> None:
    text = render(full())
    assert text.count("<details") == text.count("</details>") >= 5
