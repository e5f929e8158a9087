"""From marks to a smaller image: what stays (plan), the image (layout), where it goes (publish), a Dockerfile.

Only deletions: every entry that survives is copied block by block from the original layer.
"""

from mlbloat.model.plan import LayerPlan, Plan
from mlbloat.slim.advice import lean_dockerfile
from mlbloat.slim.compress import Method, parse_method
from mlbloat.slim.databases import cut_databases
from mlbloat.slim.destination import (
    Destination,
    check_apart,
    check_destination,
    check_destinations,
    parse_destination,
    settled,
    usual_method,
)
from mlbloat.slim.dockerfile import DockerfileResult, slimmed_dockerfile
from mlbloat.slim.emptied import emptied
from mlbloat.slim.layers import SlimLayer
from mlbloat.slim.layout import SlimImage, write
from mlbloat.slim.options import SlimOptions
from mlbloat.slim.plan import make_plan
from mlbloat.slim.prefetch import prefetch_list, prefetch_paths
from mlbloat.slim.publish import publish
from mlbloat.slim.restore import write_restored
from mlbloat.slim.sbom import cyclonedx

__all__ = [
    "Destination",
    "DockerfileResult",
    "LayerPlan",
    "Method",
    "Plan",
    "SlimImage",
    "SlimLayer",
    "SlimOptions",
    "check_apart",
    "check_destination",
    "check_destinations",
    "cut_databases",
    "cyclonedx",
    "emptied",
    "lean_dockerfile",
    "make_plan",
    "parse_destination",
    "parse_method",
    "prefetch_list",
    "prefetch_paths",
    "publish",
    "settled",
    "slimmed_dockerfile",
    "usual_method",
    "write",
    "write_restored",
]
