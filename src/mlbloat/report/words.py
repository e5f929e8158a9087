"""What a report says in words, the same in every format."""

import re

from mlbloat.model.report import Report, Verdict

_BUILDER = re.compile(r"^(?:RUN )?(?:\|\d+ .*?)?/bin/(?:ba)?sh (?:-o [a-z]+ |-[a-z]+ )*?-[a-z]*c ")


def used_means(report: Report) -> str:
    if report.evidence.mode == "traced":
        return "touched by the profile"
    return "what the image's command reaches (not run)"


def judgement(verdict: Verdict) -> str:
    """Never more than was proved."""
    if not verdict.passed:
        return "Verification failed"
    if not verdict.runs:
        return "Compared: nothing but deletions. Not verified by running: the workload has no runs"
    if not verdict.held_out:
        return "Verified only on what was profiled: add `verify` runs that the profile does not contain"
    return "Verified"


def made_by(created_by: str) -> str:
    """The line of a Dockerfile that made a layer, without what builders write around it."""
    line = " ".join(created_by.split()).removesuffix(" # buildkit")
    command = _BUILDER.sub("", line, count=1)
    if command == line:
        return line
    return command.removeprefix("#(nop) ") if command.startswith("#(nop) ") else f"RUN {command}"
