"""Work on many rows a batch at a time: in this process, or spread over workers of Ray."""
