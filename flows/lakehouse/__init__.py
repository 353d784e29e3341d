"""Bronze, silver and gold: from the sources to tables for analysts."""
