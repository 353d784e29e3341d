"""The start of dbt: its import, and the first reading of the project."""

from pathlib import Path


def run(warehouse: Path) -> None:
    from nyc_taxi.transform.dbt import Dbt
    from nyc_taxi.transform.targets.registry import open_target

    Dbt(open_target(f"duckdb:{warehouse}")).parse()
