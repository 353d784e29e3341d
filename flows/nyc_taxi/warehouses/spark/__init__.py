"""Spark warehouse: Iceberg tables."""
