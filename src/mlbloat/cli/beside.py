"""The files that `mlbloat slim` writes beside the image."""

from pathlib import Path
from typing import TYPE_CHECKING

from mlbloat.cli import output

if TYPE_CHECKING:
    from mlbloat.pipeline import Slimmed


def write(
    result: "Slimmed", dockerfile: Path | None, advice: Path | None, sbom: Path | None, prefetch: Path | None
) -> None:
    """Write what was asked for besides the image."""
    from mlbloat.slim import prefetch_list

    if dockerfile is not None:
        for file, text in result.dockerfile.items():
            output.write_file(dockerfile.with_name(file), text)
    if advice is not None:
        output.write_file(advice, result.advice)
    if sbom is not None:
        output.write_file(sbom, result.sbom)
    if prefetch is not None:
        output.write_file(prefetch, prefetch_list(result.prefetch, as_json=prefetch.suffix == ".json"))
