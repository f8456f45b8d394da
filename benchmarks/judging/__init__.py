"""What is claimed of judges, their money and their proofs."""
