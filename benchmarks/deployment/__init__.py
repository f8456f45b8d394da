"""What a deployment's watch, split and gateway are worth, against their goals and beside what others do."""
