"""Prefect code shared by the flows: parameters, retries, artifacts, work pools, servers."""
