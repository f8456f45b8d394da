"""What each turn of the wheel gained, and what a query costs."""
