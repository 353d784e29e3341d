"""Names of the trips' codes, as tables of the warehouse."""
