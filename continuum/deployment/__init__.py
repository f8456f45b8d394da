"""Stage six: a checkpoint that passed the guard comes before real traffic, and what it serves is captured."""
