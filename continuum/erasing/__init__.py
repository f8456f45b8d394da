"""Steps of forgetting: what is touched, what it is taken out of, and what is made anew without it."""
