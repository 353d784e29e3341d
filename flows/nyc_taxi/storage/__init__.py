"""Atomic files, DuckDB connections, progress bars, Google Cloud clients."""
