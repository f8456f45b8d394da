"""Capture and its store against their goals: `python -m benchmarks.capture`."""
