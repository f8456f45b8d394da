"""The commands of `continuum`, by what they are about; `cli.py` puts them together."""
