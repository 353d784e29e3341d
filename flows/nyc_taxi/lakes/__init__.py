"""Lakes: files under keys such as `data/yellow/yellow_tripdata_2021-01.parquet`."""
