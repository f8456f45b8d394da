"""Continuum: the open flywheel for LLM applications."""
