"""Where dbt builds: one module per kind of warehouse, behind base.Target."""
