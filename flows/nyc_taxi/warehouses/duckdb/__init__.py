"""DuckDB warehouse."""
