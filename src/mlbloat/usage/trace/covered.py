"""Accesses that never met the image, because the container had something else at their place."""

from mlbloat.model.container import Container
from mlbloat.model.filetree import FileTree
from mlbloat.model.use import Access

_SHOWN = 3


def leave_out(
    accesses: tuple[Access, ...], container: Container, tree: FileTree
) -> tuple[tuple[Access, ...], tuple[str, ...]]:
    """Return the accesses that met the image, and what to say about the others.

    The place itself counts as met: without it nothing could be mounted there.
    """
    places = tuple(f"{tree.find(target).path.rstrip('/')}/" for target in container.covered)
    if not places:
        return accesses, ()
    met = tuple(access for access in accesses if not tree.find(access.path).path.startswith(places))
    if len(met) == len(accesses):
        return accesses, ()
    shown, more = container.covered[:_SHOWN], len(container.covered) - _SHOWN
    where = ", ".join(shown) + (f" and {more} more" if more > 0 else "")
    return met, (
        f"{len(accesses) - len(met)} names were looked up below {where}, which the container had from elsewhere: what "
        "the image has there does not count as used; keep it with `keep` rules if it is needed",
    )
