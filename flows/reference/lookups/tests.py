"""The flow that loads the lookup tables, by its code and as a script."""

from pathlib import Path

import duckdb
import pytest

from nyc_taxi.trips.descriptions import CODES
from nyc_taxi.trips.lookup_tables import LOOKUPS
from tests.support.processes import start

from .flow import lookups


def tables(warehouse: Path) -> dict[str, dict[int, str]]:
    with duckdb.connect(str(warehouse), read_only=True) as db:
        return {t: dict(db.execute(f"FROM dezoomcamp.{t}").fetchall()) for t in LOOKUPS}


def test_tables_hold_every_declared_code(prefect_server: None, tmp_path: Path) -> None:
    """Run twice, the result is that of one run."""
    for _ in range(2):
        assert lookups() == sum(len(CODES[key]) for key in LOOKUPS.values())
    found = tables(tmp_path / "warehouse.duckdb")
    assert found == {table: CODES[key] for table, key in LOOKUPS.items()}
    assert found["payment_types"][1] == "Credit card"
    assert found["trip_types"] == {1: "Street hail", 2: "Dispatch"}
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as db:
        comments = db.execute(
            "SELECT table_name FROM duckdb_columns() WHERE comment IS NULL AND NOT internal"
        ).fetchall()
    assert comments == []


@pytest.mark.slow
def test_script_prints_what_it_loaded(prefect_server: None, tmp_path: Path) -> None:
    with start("flows/reference/lookups/flow.py") as run:
        output = run.communicate()[0]
    assert run.returncode == 0, output
    assert "lookups: 21" in output
    assert set(tables(tmp_path / "warehouse.duckdb")) == set(LOOKUPS)
