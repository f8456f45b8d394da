"""Which interactions belong together, and the salted side of each: train, validation or golden."""
