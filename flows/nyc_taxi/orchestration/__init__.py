"""What flows share with Prefect: parameters, retries, artifacts, work pools, servers."""
