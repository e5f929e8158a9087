"""The proof of a profile: only what it touched, with what that mechanically needs, runs it again with the same result.

Mechanical are the interpreters that the kernel opens itself, the links that lead to a file, all directories and all
links, which weigh nothing. No static reach, no rule, no package.
"""

from dataclasses import dataclass
from pathlib import Path

from mlbloat import runtime
from mlbloat.model.container import Outcome
from mlbloat.model.filetree import FileTree, Kind
from mlbloat.model.image import ImageConfig
from mlbloat.model.use import Level, RunRecord
from mlbloat.model.workload import Run
from mlbloat.runtime import Engine
from mlbloat.usage import trace as tracing
from mlbloat.verify.runs import expectation_failures


@dataclass(frozen=True)
class Proof:
    original: RunRecord
    again: Outcome
    failures: tuple[str, ...]
    """What the run does not meet of its own expectations on the reduced tree."""
    files: tuple[int, int]
    """Of the image, and of the reduced tree."""


def reduced(tree: FileTree, config: ImageConfig, records: tuple[RunRecord, ...]) -> FileTree:
    """Return the tree without the files that no run touched."""
    uses = tracing.uses_of(records, tree, config)
    touched = {use.path for use in uses if use.level is Level.TRACED or use.pinned}
    kept = {path: entry for path, entry in tree.entries.items() if entry.kind is not Kind.FILE or path in touched}
    return FileTree(kept, tree.contents, tree.layers)


def prove(
    tree: FileTree, config: ImageConfig, runs: tuple[Run, ...], engine: Engine, space: Path, tracer: str = "auto"
) -> list[Proof]:
    """Record runs on a tree, and run each on what they touched together."""
    whole, less = space / "whole", space / "less"
    runtime.unpack(tree, whole)
    try:
        records = tuple(tracing.trace(run, config, tree, whole, space, engine, tracer) for run in runs)
    finally:
        runtime.remove_tree(whole)
    small = reduced(tree, config, records)
    runtime.unpack(small, less)
    try:
        proofs = []
        for run, record in zip(runs, records, strict=True):
            again = engine.run(runtime.container_of(config, run, small, engine), less, space)
            counts = sum(1 for _ in tree.files()), sum(1 for _ in small.files())
            proofs.append(Proof(record, again, expectation_failures(run.expect, again, run.service), counts))
        return proofs
    finally:
        runtime.remove_tree(less)
