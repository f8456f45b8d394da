"""Whether what the learning curve says comes true."""
