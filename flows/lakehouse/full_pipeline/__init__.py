"""Bronze, silver and gold in one run."""
