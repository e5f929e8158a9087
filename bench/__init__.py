"""Benchmarks: each prints ratios of two things measured in turn in the same run (docs/benchmarks.md)."""
