"""Signals: what production says, captured, imported and summed up."""
