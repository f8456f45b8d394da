"""Constraints with probes and checks, shared by training and guard."""
