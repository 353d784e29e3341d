"""Silver and gold: which months are stale, how dbt builds them, how they are published."""
