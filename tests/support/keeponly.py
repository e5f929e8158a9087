"""The proof of a profile: only what it touched, with what that mechanically needs, runs it again with the same result.

Mechanical are the interpreters that the kernel opens itself, the links that lead to a file, all directories and all
links, which weigh nothing. No static reach, no rule, no package.
"""

import re
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

    @property
    def differences(self) -> tuple[str, ...]:
        """What it did not do or say as before; numbers may differ, which are times, ports and random.

        Of a service only its answers count: its log has no order that can be relied on.
        """
        was, now = self.original, self.again
        found = [] if was.exit == now.exit else [f"exit status is {now.exit}, was {was.exit}"]
        streams = [] if was.steps else [("stdout", was.stdout, now.stdout)]
        if len(was.steps) != len(now.steps):
            found.append(f"{len(now.steps)} steps, were {len(was.steps)}")
        for before, after in zip(was.steps, now.steps, strict=False):
            what = f"{before.kind} {before.what}"
            outcomes = [(step.kind, step.status, step.failure) for step in (before, after)]
            found += [] if outcomes[0] == outcomes[1] else [f"{what}: {outcomes[1]}, was {outcomes[0]}"]
            streams.append((what, before.body, after.body))
        found += [f"{what}: {late!r}, was {early!r}" for what, early, late in streams if _text(early) != _text(late)]
        return tuple(found)


def _text(output: bytes) -> bytes:
    return re.sub(rb"[0-9]+(\.[0-9]+)?(e[-+]?[0-9]+)?", b"0", output)


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
