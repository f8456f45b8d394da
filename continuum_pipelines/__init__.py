"""The Dagster code location: the stages of Continuum as seven assets, one partition a task."""
