"""What mlbloat adds to the configuration of a slim image: labels that say where it comes from."""

VERSION = "mlbloat.version"
"""Of mlbloat."""
KEEP = "mlbloat.keep"
"""The keep level."""
PROFILE = "mlbloat.profile.digest"
"""Of the sorted paths that the profile runs touched, one a line; missing when nothing was run."""
ORIGINAL = "mlbloat.original.digest"
"""Of the original's manifest, or, where it has none, of its configuration."""

LABELS = (VERSION, KEEP, PROFILE, ORIGINAL)

RESTORED = "mlbloat slim --restore: everything that the slim image lacks"
"""`created_by` of the last history line of an image that has everything back."""
