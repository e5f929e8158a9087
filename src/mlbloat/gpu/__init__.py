"""Code for GPUs inside the files of an image: how much there is, for which GPUs, and what one of them loads."""

from mlbloat.gpu.census import census
from mlbloat.gpu.explain import explain

__all__ = ["census", "explain"]
