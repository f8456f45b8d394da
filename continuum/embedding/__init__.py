"""Text to vectors, the nearest of them, and clusters with frozen centroids."""
