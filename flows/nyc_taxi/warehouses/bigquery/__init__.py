"""BigQuery warehouse."""
