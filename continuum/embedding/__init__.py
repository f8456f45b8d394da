"""Text to vectors, and the nearest of them."""
