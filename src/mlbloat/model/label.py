"""Labels that say where a slim image comes from; the only thing in its configuration that the original lacks."""

VERSION = "mlbloat.version"
"""Of mlbloat."""
KEEP = "mlbloat.keep"
"""The keep level."""
PROFILE = "mlbloat.profile.digest"
"""Of the sorted paths that the profile runs touched, one a line; missing when nothing was run."""
ORIGINAL = "mlbloat.original.digest"
"""Of the original's manifest, or, where it has none, of its configuration."""

LABELS = (VERSION, KEEP, PROFILE, ORIGINAL)
