"""Paired tests, intervals, several tests at once, and power: what the guard and the learning curve decide by."""
