"""Runs, model versions and their aliases, in MLflow or in a folder."""
