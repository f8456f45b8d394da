"""From judged interactions to a versioned training set."""
