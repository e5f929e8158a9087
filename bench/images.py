"""One image of the docker engine in every form that a benchmark reads."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DOCKER = "/usr/bin/docker"


@contextmanager
def forms(name: str, *, sources: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """Give references by scheme, archives in a directory that is gone afterwards and warm in the page cache."""
    with tempfile.TemporaryDirectory(prefix="mlbloat-bench-") as space:
        saved, layout = Path(space, "docker.tar"), Path(space, "oci.tar")
        found = {"docker": f"docker:{name}"} if "docker" in sources else {}
        if found.keys() != set(sources):
            _run(DOCKER, "save", "-o", str(saved), name)
        if "docker-archive" in sources:
            found["docker-archive"] = f"docker-archive:{saved}"
        if "oci-archive" in sources:
            _run("skopeo", "copy", "-q", f"docker-archive:{saved}", f"oci-archive:{layout}:latest")
            found["oci-archive"] = f"oci-archive:{layout}"
        if "docker-archive" not in sources:
            saved.unlink(missing_ok=True)
        yield {scheme: found[scheme] for scheme in sources}


@contextmanager
def sibling(name: str) -> Iterator[str]:
    """Give an image with the same layers and one small one more, as a change of an application makes it."""
    tag = "mlbloat-bench-sibling:1"
    with tempfile.TemporaryDirectory(prefix="mlbloat-bench-") as context:
        Path(context, "main.py").write_text("import json\nprint(json.dumps([]))\n")
        Path(context, "Dockerfile").write_text(f"FROM {name}\nCOPY main.py /app/bench-main.py\n")
        _run(DOCKER, "build", "-q", "-t", tag, context)
        try:
            yield tag
        finally:
            _run(DOCKER, "rmi", tag)


def warm(path: Path) -> None:
    """Read a file once, so that both sides find it in the page cache."""
    with path.open("rb") as stream:
        while stream.read(1 << 22):
            pass


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
