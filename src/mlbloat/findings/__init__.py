"""Known ways to waste bytes in an image, each with the line of a Dockerfile that avoids it.

A rule is a function and its description in the RULES of one of the modules here; docs/rules.md is made of them.
"""

from collections.abc import Iterable

from mlbloat.cache import Cache, Facts, NoCache
from mlbloat.findings import application, caches, copies, device_code, installed, leftovers, shadowed, unneeded
from mlbloat.findings.scene import MAX_PATHS, Rule, Scene
from mlbloat.findings.silence import Heard, silence
from mlbloat.findings.silence import check as _check
from mlbloat.model.devicecode import NO_DEVICE_CODE, Census
from mlbloat.model.filetree import FileTree
from mlbloat.model.image import Image
from mlbloat.model.mark import Mark
from mlbloat.model.package import Inventory
from mlbloat.model.report import Finding
from mlbloat.model.workload import Ignore

__all__ = ["MAX_PATHS", "RULES", "Heard", "Rule", "check", "find", "silence"]

RULES: tuple[Rule, ...] = (
    *caches.RULES,
    *shadowed.RULES,
    *unneeded.RULES,
    *leftovers.RULES,
    *application.RULES,
    *copies.RULES,
    *device_code.RULES,
    *installed.RULES,
)


def check(ignores: Iterable[Ignore]) -> None:
    """UsageError for an `ignore:` entry that names no rule."""
    _check(ignores, [rule.name for rule in RULES])


def find(
    image: Image,
    tree: FileTree,
    inventory: Inventory,
    marks: tuple[Mark, ...],
    cache: Cache | None = None,
    device: Census = NO_DEVICE_CODE,
) -> tuple[Finding, ...]:
    """Return what the rules found, most bytes first; nothing that would free no bytes, but what is an error."""
    kept = cache or NoCache()
    scene = Scene(
        image=image,
        tree=tree,
        inventory=inventory,
        marks=marks,
        device=device,
        symbols=Facts(kept, "symbols/1", int),
        beginnings=Facts(kept, "beginning/1", bytes),
        digests=Facts(kept, "digest/1", bytes),
    )
    found = [finding for rule in RULES for finding in rule.find(rule, scene)]
    scene.symbols.save()
    scene.beginnings.save()
    scene.digests.save()
    worth = (finding for finding in found if finding.bytes or finding.severity == "error")
    return tuple(sorted(worth, key=lambda finding: (-finding.bytes, finding.rule, finding.title)))
