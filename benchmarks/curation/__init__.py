"""What is claimed of curation: its duplicates, its choices, its splits and its versions."""
