"""Measure and remove what container images carry for nothing."""

__version__ = "0.1.0"
