"""The Superset dashboard and dbt's exposures: what they use is defined in gold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from nyc_taxi.report.queries import MONTHS, QUERIES
from synthetic_tlc.gold import write_gold
from tests.support.processes import ROOT

SUPERSET = ROOT / "dashboards" / "superset"
GOLD = ROOT / "dbt" / "models" / "gold"


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


DATASETS = {
    dataset["uuid"]: dataset for dataset in map(read, sorted(SUPERSET.glob("datasets/*/*.yaml")))
}
CHARTS = {path.stem: read(path) for path in sorted(SUPERSET.glob("charts/*.yaml"))}
EXPOSURES = {one["name"]: one for one in read(GOLD / "exposures.yml")["exposures"]}


@pytest.fixture(scope="module")
def gold(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    path = tmp_path_factory.mktemp("gold") / "warehouse.duckdb"
    write_gold(path, [(s, date(2024, 1, 1)) for s in ("yellow", "fhvhv")], None, scale=0.001)
    with duckdb.connect(str(path)) as db:
        yield db


def documented() -> dict[str, set[str]]:
    """Return the columns of each gold table that dbt documents."""
    models = [*read(GOLD / "facts" / "facts.yml")["models"]]
    models += read(GOLD / "dims" / "dims.yml")["models"]
    return {model["name"]: {column["name"] for column in model["columns"]} for model in models}


def tables(sql: str) -> set[str]:
    return set(re.findall(r"gold\.(\w+)", sql))


def source(dataset: dict[str, Any]) -> str:
    return str(dataset.get("sql") or f"SELECT * FROM gold.{dataset['table_name']}")


def names(chart: dict[str, Any], *fields: str) -> list[str]:
    found = [chart["params"].get(field, []) for field in fields]
    return [name for one in found for name in ([one] if isinstance(one, str) else one)]


@pytest.mark.parametrize("name", CHARTS)
def test_chart_uses_metrics_and_columns_of_its_dataset(
    name: str, gold: duckdb.DuckDBPyConnection
) -> None:
    chart = CHARTS[name]
    dataset = DATASETS[chart["dataset_uuid"]]
    metrics = {one["metric_name"]: one["expression"] for one in dataset["metrics"]}
    columns = {one["column_name"] for one in dataset["columns"]}
    used = names(chart, "metric", "metrics")
    grouped = names(chart, "groupby", "x_axis")
    assert used
    assert set(used) <= set(metrics)
    assert set(grouped) <= columns
    selected = ", ".join([*grouped, *(metrics[metric] for metric in used)])
    by = f" GROUP BY {', '.join(grouped)}" if grouped else ""
    assert gold.execute(f"SELECT {selected} FROM ({source(dataset)}) AS t{by}").fetchall()


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda dataset: dataset["table_name"])
def test_dataset_is_defined_in_gold(
    dataset: dict[str, Any], gold: duckdb.DuckDBPyConnection
) -> None:
    columns = [one["column_name"] for one in dataset["columns"]]
    metrics = [one["expression"] for one in dataset["metrics"]]
    gold.execute(f"SELECT {', '.join(columns)} FROM ({source(dataset)}) AS t")
    gold.execute(f"SELECT {', '.join(metrics)} FROM ({source(dataset)}) AS t")
    assert dataset["main_dttm_col"] in columns
    assert dataset["database_uuid"] == read(SUPERSET / "databases" / "nyc_taxi.yaml")["uuid"]


def test_dashboard_shows_every_chart() -> None:
    [dashboard] = map(read, SUPERSET.glob("dashboards/*.yaml"))
    parts = {name: part for name, part in dashboard["position"].items() if name.startswith("CHART")}
    assert {part["meta"]["uuid"] for part in parts.values()} == {
        chart["uuid"] for chart in CHARTS.values()
    }
    shown = [name for part in dashboard["position"].values() if isinstance(part, dict)
             for name in part.get("children", [])]  # fmt: skip
    assert set(parts) <= set(shown)


def test_invented_gold_has_only_documented_columns(gold: duckdb.DuckDBPyConnection) -> None:
    known = documented()
    found = gold.execute(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE schema_name = 'gold'"
    ).fetchall()
    assert [(table, column) for table, column in found if column not in known[table]] == []


def test_exposures_name_what_is_read() -> None:
    refs = {
        name: set(re.findall(r"'(\w+)'", str(one["depends_on"]))) for name, one in EXPOSURES.items()
    }
    assert refs["report"] == tables(" ".join([MONTHS, *QUERIES.values()]))
    assert refs["superset"] == tables(" ".join(map(source, DATASETS.values())))
    assert set().union(*refs.values()) <= set(documented())
