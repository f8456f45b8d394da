"""What is claimed of training: how much it forgets, what that costs, and what it survives."""
