"""Talking to chat models: at an endpoint, on this machine, or by script."""
