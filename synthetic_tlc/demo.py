"""Demo with synthetic data: a local TLC site -> lake -> DuckDB warehouse."""

import os
import subprocess
import sys
from pathlib import Path

import duckdb

from local_services.local_system import prefect_environment, prefect_server, remove_settings
from local_services.process import free_port, running
from synthetic_tlc.months import write_month
from synthetic_tlc.open_meteo import OpenMeteo
from synthetic_tlc.site import Site
from synthetic_tlc.zones import write_zones

ROOT = Path(__file__).resolve().parents[1]
YEAR = 2024
"""Air quality begins in August 2022."""
MONTHS = (("yellow", 1, 200_000), ("yellow", 2, 200_000), ("green", 1, 76_518))
COMMANDS = (
    "flows/etl_web_to_bq.py --color yellow --year 2024 --months 1,2",
    "flows/etl_web_to_bq.py --color green --year 2024 --months 1",
    "-m lakehouse.full_pipeline.flow --start-date 2024-01-01 --end-date 2024-02-29",
    "-m lakehouse.report.flow",
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
DAYS = """
    SELECT pickup_date AS day, sum(trips)::BIGINT AS trips, round(max(rain_mm), 1) AS "rain, mm",
           round(max(pm2_5_mean), 1) AS "PM2.5, modelled, not measured"
    FROM gold.trips_and_air_by_day WHERE location = 'manhattan'
    GROUP BY ALL ORDER BY "rain, mm" DESC NULLS LAST, day LIMIT 3"""
ZONES = """
    SELECT borough, zone, sum(trips)::BIGINT AS trips
    FROM gold.trips_by_zone_hour JOIN gold.dim_zone ON pickup_zone_id = zone_id
    WHERE zone_id NOT IN (264, 265) -- unknown, and outside of the city
    GROUP BY ALL ORDER BY trips DESC, zone LIMIT 3"""
QUERIES = {
    "Loaded months (synthetic data)": LOADED_MONTHS,
    "Busiest hours of card trips (synthetic data)": BUSIEST_HOURS,
    "Payment types by pickup borough (synthetic data)": PAYMENTS,
    "Manhattan on its wettest days (synthetic data)": DAYS,
    "Busiest pickup zones (synthetic data)": ZONES,
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
    remove_settings()
    warehouse = folder / "warehouse.duckdb"
    write_zones(folder / "site" / "misc")
    for color, month, rows in MONTHS:
        write_month(folder / "site" / "trip-data", color, YEAR, month, rows)
    # A separate Prefect home, so that the user's own server or profile is not used.
    home, port = folder / "prefect", free_port()
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    prefect = prefect_environment(home, port)
    with (
        Site(folder / "site") as site,
        OpenMeteo() as meteo,
        running(prefect_server(folder / "server", prefect, port)),
    ):
        env = {
            **os.environ,
            **prefect,
            "NYC_TAXI_SOURCE_URL": f"{site.url}/trip-data",
            "NYC_TAXI_AIR_QUALITY_URL": meteo.air_quality_url,
            "NYC_TAXI_WEATHER_URL": meteo.weather_url,
            "NYC_TAXI_DATA_DIR": str(folder),
            "NYC_TAXI_LAKE": f"local:{folder / 'lake'}",
            "NYC_TAXI_WAREHOUSE": f"duckdb:{warehouse}",
        }
        print(
            "The trips, air quality and weather in this demo are synthetic data, served by local "
            "copies of the TLC's site and Open-Meteo."
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
  warehouse.duckdb  dezoomcamp: tables yellow_rides, green_rides, air_quality_hourly,
                    weather_hourly, zones, lookup tables; views rides, rides_labeled
                    silver: trips, trips_rejected, ...; gold: facts and dimensions
  report.html       what is in gold; open it in a browser

Next:
  make demo                                     rerun: downloads are skipped, rows are not doubled
  make run COLOR=green YEAR=2021 MONTHS=1,2     published data from the TLC's site, into data/
  .venv/bin/python flows/etl_web_to_bq.py --help
""")
