"""A range of dates from the sources to gold, in chunks that resume."""
