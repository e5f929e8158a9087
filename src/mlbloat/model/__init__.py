"""Frozen values that the stages pass to each other. Nothing here reads, writes or decides."""
