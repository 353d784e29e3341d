"""PostgreSQL warehouse."""
