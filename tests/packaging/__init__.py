"""What is built and what is declared: the wheel and the sdist, their types, ranges of versions and licences."""
