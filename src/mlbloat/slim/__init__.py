"""From marks to a smaller image: what stays (plan), the image (layout), where it goes (publish), a Dockerfile.

Only deletions: every entry that survives is copied block by block from the original layer.
"""

from mlbloat.model.plan import LayerPlan, Plan
from mlbloat.slim.destination import Destination, check_destination, parse_destination
from mlbloat.slim.dockerfile import DockerfileResult, slimmed_dockerfile
from mlbloat.slim.layout import SlimImage, SlimLayer, write
from mlbloat.slim.plan import make_plan
from mlbloat.slim.publish import publish

__all__ = [
    "Destination",
    "DockerfileResult",
    "LayerPlan",
    "Plan",
    "SlimImage",
    "SlimLayer",
    "check_destination",
    "make_plan",
    "parse_destination",
    "publish",
    "slimmed_dockerfile",
    "write",
]
