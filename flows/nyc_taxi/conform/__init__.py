"""Raw file -> Parquet in the declared schema of its color."""
