"""Annotation: a judge's opinion of every interaction, within a budget."""
