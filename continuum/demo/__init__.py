"""The demo: a made-up shop, a simulated provider, and the story told with them."""
