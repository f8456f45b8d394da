"""Measurements behind what the project claims; `docs/benchmarks.md` tells how they are made."""
