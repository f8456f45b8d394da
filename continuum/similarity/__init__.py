"""Equal and nearly equal texts: fingerprints, MinHash candidates, character similarity with a word guard."""
