"""What a report says in words, the same in every format."""

from mlbloat.model.report import Report, Verdict


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
