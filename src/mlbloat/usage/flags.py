"""What the figures of a report cannot know, as plain sentences."""

import re
from collections.abc import Iterator, Sequence

from mlbloat.model.filetree import FileTree
from mlbloat.model.image import Image
from mlbloat.model.package import Inventory
from mlbloat.model.report import RunReport
from mlbloat.model.use import Origin, RunRecord
from mlbloat.model.workload import Workload
from mlbloat.usage.entrypoint import packages_named
from mlbloat.usage.marking import unmatched_rules

_CUDA = re.compile(r"libcuda(rt)?\.so[.\d]*")
"""The CUDA runtime and driver libraries: an image that has one was made for a GPU."""


def flags_of(
    tree: FileTree, inventory: Inventory, records: Sequence[RunRecord], workload: Workload, image: Origin
) -> tuple[str, ...]:
    """Say what the evidence leaves open, each with what to do about it."""
    return (*_flags(tree, records, workload), *_unknown(inventory, workload), *_foreign(records, image))


def _unknown(inventory: Inventory, workload: Workload) -> Iterator[str]:
    for name in workload.keep_packages:
        if next(packages_named(inventory, name), None) is None:
            yield f"keep_packages of the workload file names {name}, which is not installed; check its spelling"


def growth(runs: Sequence[RunReport]) -> tuple[str, ...]:
    """Say when the last run of a profile still added files."""
    if len(runs) < 2 or not runs[-1].new_files:
        return ()
    last = runs[-1]
    return (
        f"the profile still grows: run '{last.name}' touched {last.new_files} files ({last.new_bytes} bytes) that no "
        "run before it did; add runs until the last ones add none",
    )


def _foreign(records: Sequence[RunRecord], image: Origin) -> Iterator[str]:
    for record in records:
        origin = record.origin
        if origin is None or origin.id == image.id or origin.diff_ids == image.diff_ids:
            continue
        shared = len(set(origin.diff_ids) & set(image.diff_ids))
        yield (
            f"run '{record.name}' was recorded on another image ({origin.id[:19]}), which shares {shared} of "
            f"{len(image.diff_ids)} layers with this one: files that moved are missed; record it on this image"
        )


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


def platform_flags(image: Image) -> tuple[str, ...]:
    """Say which of several platforms this is about."""
    if not image.platforms:
        return ()
    offered = ", ".join(map(str, image.platforms))
    return (f"the image is there for {offered}; this is about {image.platform} alone (--platform takes another)",)
