"""Where a thing came from: the check of an adapter's files, and lineage from a deployment back to interactions."""
