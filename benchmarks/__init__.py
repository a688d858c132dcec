"""Measurements, each a package with `python -m benchmarks.<name> [--json]`; `make bench` runs all."""
