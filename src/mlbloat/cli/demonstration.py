"""The image that ships with mlbloat, and its workload."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import mlbloat
from mlbloat.cli import options
from mlbloat.errors import UsageError
from mlbloat.model.report import Report
from mlbloat.pipeline import Request
from mlbloat.report import Output

IMAGE, WORKLOAD = "demo.oci.tar", "demo.yaml"


@contextmanager
def request(engine: str, destination: str, outputs: tuple[Output, ...]) -> Iterator[tuple[Request, str]]:
    """What `mlbloat demo` asks of the pipeline; without a destination the slim image goes when it is reported."""
    directory = _directory()
    image = f"oci-archive:{directory / IMAGE}"
    workload = directory / WORKLOAD
    asked = options.request(image, None, workload, 0.0, engine=engine, platform=None, no_cache=True, outputs=outputs)
    with tempfile.TemporaryDirectory(prefix="mlbloat-demo-") as space:
        yield asked, destination or f"oci-archive:{Path(space, 'slim.oci.tar')}"


def not_kept(report: Report) -> Report:
    """The report without the name of a file that is gone when it is read."""
    if report.slim is None:
        return report
    return replace(report, slim=replace(report.slim, reference="not kept; -t DEST keeps it"))


def _directory() -> Path:
    package = Path(mlbloat.__file__).parent
    # Beside the code in an installed package, in fixtures/ in a checkout.
    for directory in (package / "demo", package.parents[1] / "fixtures" / "images"):
        if (directory / IMAGE).is_file():
            return directory
    raise UsageError(f"cannot find {IMAGE}, which ships with mlbloat; install mlbloat again")
