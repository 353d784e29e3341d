"""Demo with synthetic data: a local TLC site -> lake -> DuckDB warehouse."""

import os
import subprocess
import sys
from pathlib import Path

import duckdb

from local_services.local_system import prefect_environment, prefect_server
from local_services.process import free_port, running
from synthetic_tlc.months import write_month
from synthetic_tlc.open_meteo import OpenMeteo
from synthetic_tlc.site import Site
from synthetic_tlc.zones import write_zones

ROOT = Path(__file__).resolve().parents[1]
MONTHS = (("yellow", 1, 200_000), ("yellow", 2, 200_000), ("green", 1, 76_518))
COMMANDS = (
    "flows/etl_web_to_bq.py --color yellow --months 1,2",
    "flows/etl_web_to_bq.py --color green --months 1",
    "-m reference.zones.flow",
    "-m reference.lookups.flow",
)
LOADED_MONTHS = """
    SELECT color, trip_month AS "month", count(*) AS trips,
           round(sum(total_amount), 2) AS dollars,
           count(*) FILTER (passenger_count = 0) AS "no passengers"
    FROM dezoomcamp.rides GROUP BY ALL ORDER BY ALL"""
BUSIEST_HOURS = """
    SELECT hour(pickup_datetime) AS hour, count(*) AS trips,
           round(avg(trip_distance), 1) AS miles, round(avg(tip_amount), 2) AS tip
    FROM dezoomcamp.rides WHERE payment_type = 1 AND trip_distance < 100
    GROUP BY ALL ORDER BY trips DESC LIMIT 3"""
PAYMENTS = """
    SELECT pickup_borough AS borough, payment_type_name AS payment, count(*) AS trips,
           round(avg(total_amount), 2) AS dollars
    FROM dezoomcamp.rides_labeled GROUP BY ALL ORDER BY trips DESC, borough, payment LIMIT 3"""
QUERIES = {
    "Loaded months (synthetic data)": LOADED_MONTHS,
    "Busiest hours of card trips (synthetic data)": BUSIEST_HOURS,
    "Payment types by pickup borough (synthetic data)": PAYMENTS,
}
ASCII_LINES = str.maketrans("┌┬┐├┼┤└┴┘─│·", "+++++++++-|.")


def show(table: duckdb.DuckDBPyRelation) -> None:
    """Print a table; in ASCII if the console cannot encode box-drawing characters."""
    text = str(table)
    try:
        text.encode(encoding := sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        text = text.translate(ASCII_LINES).encode(encoding, "replace").decode(encoding)
    print(text)


def demo(folder: Path) -> None:
    """Run the flow scripts as a user would and query the result. All files are under `folder`."""
    warehouse = folder / "warehouse.duckdb"
    write_zones(folder / "site" / "misc")
    for color, month, rows in MONTHS:
        write_month(folder / "site" / "trip-data", color, 2021, month, rows)
    # A separate Prefect home, so that the user's own server or profile is not used.
    home, port = folder / "prefect", free_port()
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    prefect = prefect_environment(home, port)
    with (
        Site(folder / "site") as site,
        OpenMeteo() as meteo,
        running(prefect_server(folder / "server", prefect, port)),
    ):
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_API")}
        env = {
            **inherited,
            **prefect,
            "NYC_TAXI_SOURCE_URL": f"{site.url}/trip-data",
            "NYC_TAXI_AIR_QUALITY_URL": meteo.air_quality_url,
            "NYC_TAXI_WEATHER_URL": meteo.weather_url,
            "NYC_TAXI_DATA_DIR": str(folder),
            "NYC_TAXI_LAKE": f"local:{folder / 'lake'}",
            "NYC_TAXI_WAREHOUSE": f"duckdb:{warehouse}",
        }
        print(
            "The trips in this demo are synthetic data, served by a local copy of the TLC's site."
        )
        for command in COMMANDS:
            print(f"\n$ python {command}", flush=True)
            subprocess.run([sys.executable, *command.split()], cwd=ROOT, env=env, check=True)
    with duckdb.connect(str(warehouse), read_only=True) as db:
        for title, query in QUERIES.items():
            print(f"\n{title}\n{query.strip()};")
            show(db.sql(query))
    print(f"""
The files are in {folder}:
  raw/              downloads
  lake/data/        conformed Parquet, one schema per color
  warehouse.duckdb  tables dezoomcamp.yellow_rides, dezoomcamp.green_rides, dezoomcamp.zones,
                    lookup tables; views dezoomcamp.rides, dezoomcamp.rides_labeled

Next:
  make demo                                     rerun: downloads are skipped, rows are not doubled
  make run COLOR=green YEAR=2021 MONTHS=1,2     published data from the TLC's site, into data/
  .venv/bin/python flows/etl_web_to_bq.py --help
""")
