"""Programs under measurement. They run in our environment or in the peers', so they import nothing but the wrapper they run."""
