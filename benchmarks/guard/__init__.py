"""What the guard's word is worth, against its goals and beside what others do."""
