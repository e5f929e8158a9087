"""What a user may choose about a slim image, beyond what stays in it."""

from dataclasses import dataclass

from mlbloat.slim.compress import Method


@dataclass(frozen=True, slots=True, kw_only=True)
class SlimOptions:
    """How a slim image is written, and what is written beside it."""

    squash: bool = False
    """One layer instead of the original's."""
    method: Method | None = None
    """How layers are compressed; None: every layer as it was."""
    cut_metadata: bool = True
    """Package databases lose what is gone."""
    labels: bool = True
    repair_rounds: int = 0
    """How often to add what verification missed, and try again."""
    dockerfile: str = ""
    """Name of a Dockerfile to make of it as well."""
    advice: bool = False
    """Say which packages and caches could be left out as a whole."""
    sbom: bool = False
    restore: str = ""
    """Destination of an image that brings the removed files back."""
