"""Lakes: one Parquet file per month and color."""
