"""The regression guard: whether a candidate may serve."""
