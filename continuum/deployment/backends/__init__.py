"""Who serves the tuned models."""
