"""Conversion of raw files to Parquet in the declared schema of their color."""
