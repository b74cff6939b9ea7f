"""Benchmarks: what the system does an hour with, measured against what else one could do it with (README.md)."""
