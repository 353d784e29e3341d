"""Demo with synthetic data: a local TLC site -> GCS emulator -> BigQuery emulator."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from local_services.google import BUCKET, bigquery, client_environment, gcs
from local_services.local_system import remove_settings
from local_services.process import running
from synthetic_tlc import Site, write_month, write_zones

ROOT = Path(__file__).resolve().parents[1]
MONTHS = (("yellow", 1, 200_000), ("yellow", 2, 200_000), ("green", 1, 76_518))
COMMANDS = (
    "blocks/make_gcp_blocks.py",
    "flows/etl_web_to_bq.py --color yellow --months 1,2",
    "flows/etl_web_to_bq.py --color green --month 1",
    "-m reference.zones.flow",
    "-m reference.lookups.flow",
)
QUERIES = (
    """
SELECT color, trip_month, count(*) AS trips, round(sum(total_amount), 2) AS dollars
FROM dezoomcamp.rides GROUP BY color, trip_month ORDER BY color, trip_month;""",
    """
SELECT Borough, Zone, count(*) AS trips
FROM dezoomcamp.rides JOIN dezoomcamp.zones ON PULocationID = LocationID
GROUP BY Borough, Zone ORDER BY trips DESC LIMIT 3;""",
)
QUERY_SCRIPT = """
import sys
from nyc_taxi.warehouses.bigquery.dataframe import open_dataframes
warehouse = open_dataframes(sys.argv[1])
for query in sys.argv[2:]:
    print(query, warehouse.query(query).to_string(index=False), sep="\\n\\n")
"""


def flow_environment(folder: Path) -> dict[str, str]:
    """Settings of the flows; a separate Prefect home keeps the blocks apart from the user's."""
    return {
        "NYC_TAXI_LAKE": "gcs:zoom-gcs",
        "NYC_TAXI_WAREHOUSE": "bigquery:zoom-gcp-creds",
        "NYC_TAXI_GCS_BUCKET": BUCKET,
        "NYC_TAXI_DATA_DIR": str(folder),
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_PROFILES_PATH": str(folder / "prefect" / "profiles.toml"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }


def demo(folder: Path) -> None:
    """Run the flow scripts as a user would. Everything they write is under `folder`."""
    remove_settings()
    write_zones(folder / "site" / "misc")
    for color, month, rows in MONTHS:
        write_month(folder / "site" / "trip-data", color, 2021, month, rows)
    with (
        Site(folder / "site") as site,
        running(gcs(folder)) as storage,
        running(bigquery(folder)) as warehouse,
    ):
        google = client_environment(storage, warehouse)
        source = {"NYC_TAXI_SOURCE_URL": f"{site.url}/trip-data"}
        env = {**os.environ, **google, **flow_environment(folder), **source}

        def python(*arguments: str) -> None:
            done = subprocess.run([sys.executable, *arguments], cwd=ROOT, env=env, check=False)
            if done.returncode:
                sys.exit(done.returncode)

        print("The trips in this demo are synthetic data.", flush=True)
        for command in COMMANDS:
            print(f"\n$ python {command}", flush=True)
            python(*command.split())
        print("\nLoaded months, and the busiest pickup zones (synthetic data):", flush=True)
        python("-c", QUERY_SCRIPT, env["NYC_TAXI_WAREHOUSE"], *QUERIES)
    print(f"\nThe emulators are stopped; their data is in {folder}.")
