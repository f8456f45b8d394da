"""Judging: criteria, the judge's prompt, one judgement, and the scores of many answers."""
