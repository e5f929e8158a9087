"""What the figures of a report cannot know, as plain sentences."""

import re
from collections.abc import Iterator, Sequence

from mlbloat.model.filetree import FileTree
from mlbloat.model.use import RunRecord
from mlbloat.model.workload import Workload
from mlbloat.usage.marking import unmatched_rules

_CUDA = re.compile(r"libcuda(rt)?\.so[.\d]*")
"""The CUDA runtime and driver libraries: an image that has one was made for a GPU."""


def flags_of(tree: FileTree, records: Sequence[RunRecord], workload: Workload) -> tuple[str, ...]:
    """Say what the evidence leaves open, each with what to do about it."""
    return tuple(_flags(tree, records, workload))


def _flags(tree: FileTree, records: Sequence[RunRecord], workload: Workload) -> Iterator[str]:
    if not records:
        yield (
            "nothing was run: used is what the image's command reaches by static evidence; "
            "give -w FILE or a command after -- for measured figures"
        )
    for record in records:
        yield from (f"run '{record.name}': {flag}" for flag in record.flags)
    if (
        records
        and not all(record.gpus for record in records)
        and any(_CUDA.fullmatch(entry.name) for entry in tree.files())
    ):
        yield (
            "the image has CUDA libraries and was profiled without a GPU: GPU code counts as unused here, "
            "and a slim image made from this profile may only work on a CPU; give the runs `gpus: all` on a machine "
            "that has one"
        )
    for rule in unmatched_rules(tree, (*workload.keep, *workload.drop)):
        yield f"the rule {rule} of the workload file matches nothing in the image; check its spelling"
