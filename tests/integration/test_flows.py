"""End-to-end runs of the flow scripts: reruns, kills, retries and invalid input."""

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nyc_taxi.cli import command

import duckdb
import pytest
from prefect import Flow
from prefect.client.orchestration import get_client

from etl_gcs_to_bq import etl_gcs_to_bq
from etl_web_to_bq import etl_web_to_bq
from etl_web_to_gcs import etl_web_to_gcs
from etl_web_to_local import etl_web_to_local
from nyc_taxi.errors import PartialFailureError
from nyc_taxi.trips.months import TripMonth
from parameterized_flow import etl_parent_flow
from synthetic_tlc import Site
from tests.support.processes import ROOT, start

pytestmark = pytest.mark.usefixtures("prefect_server")

YELLOW = TripMonth("yellow", 2021, 1)
FEBRUARY = TripMonth("yellow", 2021, 2)
Publish = Callable[..., Path]


@pytest.fixture
def publish(site: Site, tmp_path: Path, month_file: Callable[..., Path]) -> Publish:
    """Publish a month on the site: publish(trips, rows)."""

    def put(trips: TripMonth, rows: int = 2000, seed: int = 0) -> Path:
        made = month_file(trips, rows, seed=seed)
        target = tmp_path / "site" / made.name
        target.unlink(missing_ok=True)
        os.link(made, target)
        return target

    return put


def query(tmp_path: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as db:
        return db.execute(sql).fetchall()


def files(folder: Path) -> dict[str, tuple[int, int]]:
    """Return path -> (mtime, inode) of all files but locks, to detect rewrites."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.stat().st_ino)
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(".lock")
    }


def test_web_to_local_writes_parquet_and_prints_a_preview(
    publish: Publish, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(YELLOW)
    path = etl_web_to_local()
    assert path == tmp_path / "data" / "yellow" / "yellow_tripdata_2021-01.parquet"
    printed = capsys.readouterr().out
    assert "rows: 2000" in printed
    assert re.search(r"tpep_pickup_datetime +TIMESTAMP", printed)


def test_web_to_gcs_uses_the_key_of_the_course(publish: Publish, tmp_path: Path) -> None:
    publish(YELLOW)
    report = etl_web_to_gcs()
    assert report.rows == 2000
    assert (tmp_path / "lake" / "data/yellow/yellow_tripdata_2021-01.parquet").is_file()


def test_gcs_to_bq_fills_passengers_and_logs_the_counts(
    publish: Publish, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    publish(YELLOW)
    missing = etl_web_to_gcs().anomalies["missing passengers"]
    assert int(missing) > 0

    assert etl_gcs_to_bq(months=[1]) == 2000
    assert f"pre: missing passenger count: {missing}" in caplog.text
    assert "post: missing passenger count: 0" in caplog.text
    nulls = "SELECT count(*) - count(passenger_count) FROM dezoomcamp.yellow_rides"
    assert query(tmp_path, nulls) == [(0,)]

    etl_gcs_to_bq(months=[1], keep_missing=True)
    assert f"post: missing passenger count: {missing}" in caplog.text
    assert query(tmp_path, nulls) == [(missing,)]


@pytest.mark.slow
def test_web_to_bq_is_idempotent(publish: Publish, site: Site, tmp_path: Path) -> None:
    publish(YELLOW)
    publish(FEBRUARY)
    rides = "SELECT * FROM dezoomcamp.yellow_rides ORDER BY ALL"
    assert etl_web_to_bq(months=[1, 2]) == 4000
    before, raw = query(tmp_path, rides), files(tmp_path / "data" / "raw")
    assert etl_web_to_bq(months=[1, 2]) == 4000
    assert query(tmp_path, rides) == before
    assert files(tmp_path / "data" / "raw") == raw
    assert sorted(request.status for request in site.requests) == [200, 200, 304, 304]


def test_parent_flow_completes_the_other_months_when_one_fails(
    publish: Publish, tmp_path: Path
) -> None:
    publish(YELLOW)
    publish(TripMonth("yellow", 2021, 3))
    with pytest.raises(PartialFailureError, match=r"1 of 3 months failed: yellow 2021-02: .*403"):
        etl_parent_flow(months=[1, 2, 3])
    lake = [path.name for path in sorted((tmp_path / "lake").rglob("*.parquet"))]
    assert lake == ["yellow_tripdata_2021-01.parquet", "yellow_tripdata_2021-03.parquet"]


@pytest.mark.slow
def test_web_to_bq_keeps_new_columns_of_real_files(
    publish: Publish, tmp_path: Path, real: Path
) -> None:
    """Published files over HTTP; counts and sums match those DuckDB reads from the files."""
    folder = real / "trip-data"
    with Site(folder) as tlc, pytest.MonkeyPatch.context() as env:
        env.setenv("NYC_TAXI_SOURCE_URL", tlc.url)
        for year, months in ((2021, [1, 2]), (2022, [1]), (2023, [1, 2]), (2024, [1]), (2025, [1])):
            etl_web_to_bq(months=months, year=year, color="green", keep_missing=True)
        etl_web_to_bq(months=[1, 2], year=2021, color="green", keep_missing=True)
    facts = "count(*), round(sum(total_amount), 2), count(passenger_count)"
    with duckdb.connect() as db:
        expected = db.execute(
            f"SELECT filename[-15:-9] AS month, {facts} FROM read_parquet("
            f"'{folder}/green*.parquet', union_by_name = true, filename = true) "
            "GROUP BY ALL ORDER BY 1"
        ).fetchall()
        newest = folder / "green_tripdata_2025-01.parquet"
        fees = db.execute(f"SELECT round(sum(cbd_congestion_fee), 2) FROM '{newest}'").fetchall()
    assert len(expected) == 7
    assert (
        query(
            tmp_path,
            f"SELECT strftime(trip_month, '%Y-%m') AS month, {facts} "
            "FROM dezoomcamp.green_rides GROUP BY ALL ORDER BY 1",
        )
        == expected
    )
    assert (
        query(tmp_path, "SELECT round(sum(cbd_congestion_fee), 2) FROM dezoomcamp.green_rides")
        == fees
    )


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ("yellow_tripdata_2021-01.truncated.parquet", "truncated"),
        ("yellow_tripdata_2022-01.http403.parquet", "a web page"),
    ],
)
def test_web_to_bq_changes_nothing_for_a_corrupt_file(
    publish: Publish, site: Site, tmp_path: Path, real: Path, broken: str, says: str
) -> None:
    publish(YELLOW)
    etl_web_to_bq(months=[1])
    lake, rows = files(tmp_path / "lake"), query(tmp_path, "FROM dezoomcamp.yellow_rides")
    site.change("yellow_tripdata_2021-01.parquet", real / "broken" / broken, after_requests=0)
    with pytest.raises(PartialFailureError, match=says):
        etl_web_to_bq(months=[1])
    assert files(tmp_path / "lake") == lake
    assert query(tmp_path, "FROM dezoomcamp.yellow_rides") == rows


def test_web_to_gcs_retries_transient_errors(publish: Publish, site: Site, tmp_path: Path) -> None:
    publish(YELLOW)
    site.answer(503, times=2)
    site.cut(after=5000)
    assert etl_web_to_gcs().rows == 2000
    assert [request.status for request in site.requests] == [503, 503, 200, 206]


def test_web_to_gcs_does_not_retry_a_refusal(publish: Publish, site: Site) -> None:
    with pytest.raises(Exception, match="403"):
        etl_web_to_gcs()
    assert len(site.requests) == 1


def test_web_to_bq_publishes_run_names_and_reports(publish: Publish) -> None:
    publish(YELLOW)
    publish(FEBRUARY)
    etl_web_to_bq(months=[1, 2])
    with get_client(sync_client=True) as client:
        names = {run.name for run in client.read_flow_runs()}
        artifacts = [(a.key, str(a.data)) for a in client.read_artifacts()]
    assert ("None", "100") in [(str(key), data) for key, data in artifacts]
    assert {"yellow 2021-01", "yellow 2021-02", "yellow 2021 [1, 2]"} <= names
    report = next(data for key, data in artifacts if key == "yellow-2021-02")
    assert '"rows": 2000' in report
    assert "missing passengers" in report
    assert any(
        "yellow 2021-01" in data and "yellow 2021-02" in data
        for key, data in artifacts
        if key == "yellow-2021"
    )


@pytest.mark.slow
@pytest.mark.parametrize("step", ["download", "conform", "load"])
def test_web_to_bq_recovers_when_killed_in_any_step(
    publish: Publish, site: Site, tmp_path: Path, step: str
) -> None:
    """SIGKILL while a step writes; a rerun gives the result of one clean run."""
    month = publish(YELLOW, 700_000)
    raw = tmp_path / "data" / "raw" / "yellow" / f"{month.name}.part"
    conformed = tmp_path / "data" / "yellow" / f"{month.name}.part"
    lake = tmp_path / "lake" / YELLOW.key
    reached: dict[str, Callable[[], bool]] = {
        "download": lambda: raw.exists() and raw.stat().st_size > 2_000_000,
        "conform": lambda: conformed.exists() and conformed.stat().st_size > 0,
        "load": lambda: lake.exists() and (tmp_path / "warehouse.duckdb.wal").exists(),
    }
    if step == "download":
        site.slow(20_000_000)
    for _ in range(5):  # on a busy machine the load may finish before the check
        with start("flows/etl_web_to_bq.py") as run:
            while run.poll() is None and not reached[step]():
                time.sleep(0.001)
            run.kill()
            output = run.communicate()[0]
        if run.returncode == -signal.SIGKILL:
            break
        (tmp_path / "warehouse.duckdb").unlink()
    assert run.returncode == -signal.SIGKILL, output
    site.heal()

    with start("flows/etl_web_to_bq.py") as again:
        output = again.communicate()[0]
    assert again.returncode == 0, output
    assert "total rows: 700000" in output
    assert query(tmp_path, "SELECT count(*) FROM dezoomcamp.yellow_rides") == [(700_000,)]
    assert not [name for name in files(tmp_path) if name.endswith(".part")]
    if step == "download":
        assert site.requests[-1].status == 206


@pytest.mark.parametrize(
    ("flow", "options", "says"),
    [
        (etl_web_to_gcs, "--color purple", "yellow"),
        (etl_web_to_gcs, "--month 13", "13 is not a month; choose from 1 to 12"),
        (etl_web_to_gcs, "--month 1.5", "1.5"),
        (etl_web_to_gcs, "--year twenty", "twenty"),
        (etl_web_to_gcs, "--color green --year 2013 --month 7", "first month is 2013-08"),
        (etl_web_to_gcs, "--year 2099", "in the future"),
        (etl_web_to_gcs, "--day 3", "--day"),
        (etl_parent_flow, "--months 1,1", "repeats 1; list each month once"),
        (etl_parent_flow, "--months []", "empty; give at least one"),
        (etl_parent_flow, "--months 1;2", "write them as 1,2 or 5-7"),
        (etl_web_to_bq, "--months 2", "the source has no yellow 2021-02"),
    ],
)
def test_command_reports_invalid_input_in_one_line(
    site: Site, monkeypatch: pytest.MonkeyPatch, flow: Flow[..., Any], options: str, says: str
) -> None:
    monkeypatch.setattr("sys.argv", ["flow.py", *options.split(" ")])
    with pytest.raises(SystemExit) as ended:
        command(flow)
    line = str(ended.value.code)  # what sys.exit prints to stderr; the exit code is then 1
    assert line.startswith("error: ")
    assert "\n" not in line
    assert says in line


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("SOURCE_URL", "http://no-such-host.invalid/trip-data", "does not exist"),
        ("SOURCE_URL", "htp://127.0.0.1/trip-data", "use an http(s) URL or a folder"),
        ("SOURCE_URL", "/no/such/folder", "there is no file for yellow 2021-01"),
        ("LAKE", "gs://zoom", "NYC_TAXI_LAKE='gs://zoom' is not a valid address"),
        ("WAREHOUSE", "oracle:x", "NYC_TAXI_WAREHOUSE='oracle:x' is not a valid address"),
        ("DATA_DIR", f"{__file__}/data", "cannot write"),
        ("MONTHS_AT_ONCE", "0", "NYC_TAXI_MONTHS_AT_ONCE='0' is invalid"),
    ],
)
def test_command_reports_invalid_settings_in_one_line(
    publish: Publish, monkeypatch: pytest.MonkeyPatch, setting: str, value: str, says: str
) -> None:
    publish(YELLOW)
    monkeypatch.setenv(f"NYC_TAXI_{setting}", value)
    monkeypatch.setattr("sys.argv", ["etl_web_to_bq.py"])
    with pytest.raises(SystemExit) as ended:
        command(etl_web_to_bq)
    assert says in str(ended.value.code)
    assert "\n" not in str(ended.value.code)


@pytest.mark.slow
@pytest.mark.parametrize(
    "script", ["etl_web_to_local", "etl_web_to_gcs", "etl_gcs_to_bq", "etl_web_to_bq",
               "parameterized_flow"],
)  # fmt: skip
def test_help_lists_the_options_of_each_script(script: str) -> None:
    with start(f"flows/{script}.py", "--help") as run:
        output = run.communicate()[0]
    assert run.returncode == 0
    for option in ("--color", "--year", "--month"):
        assert option in output


@pytest.mark.slow
def test_script_runs_from_the_flows_folder_without_a_server(
    publish: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a fresh machine: an empty home and a temporary server."""
    publish(YELLOW)
    monkeypatch.delenv("PREFECT_API_URL")
    monkeypatch.chdir(ROOT / "flows")
    (tmp_path / "home").mkdir()
    env = {"HOME": str(tmp_path / "home"), "PREFECT_HOME": str(tmp_path / "home" / ".prefect")}
    with start("etl_web_to_gcs.py", cwd=ROOT / "flows", **env) as run:
        output = run.communicate()[0]
    assert run.returncode == 0, output
    assert "Traceback" not in output
    assert "leaked" not in output
    assert (tmp_path / "lake" / YELLOW.key).is_file()


def test_script_reports_an_error_without_a_traceback(
    site: Site, tmp_path: Path, prefect_server: None
) -> None:
    (site.folder / "yellow_tripdata_2021-01.csv").write_text(
        "VendorID,tpep_pickup_datetime,tpep_dropoff_datetime,passenger_count,trip_distance,"
        "payment_type,fare_amount,tip_amount,tolls_amount,total_amount\n"
        "1,2021-01-01 00:00:00,2021-01-01 00:10:00,many,1,1,1,1,1,1\n"
    )
    with start("flows/etl_web_to_local.py", NYC_TAXI_SOURCE_URL=str(site.folder)) as run:
        output = run.communicate()[0]
    assert run.returncode == 1
    assert "error: yellow_tripdata_2021-01.csv: passenger_count holds many" in output
    assert "Traceback" not in output
    assert "leaked" not in output
