"""Months as the world has them: each a query on `raw`, an ordinary file of its color and month.

Sources of the oddities: the TLC's data dictionaries and files, and reports about them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb

from nyc_taxi.trips.months import TripMonth

EXTREMES = (
    "0.005, 1.005, -0.285, 2.675, -0.0, 0.1 + 0.2, 9999.995, 10000.004, 10000.005, -10000.01, 1e9,"
    " 999999999.995, -1e9, 1e15, 1e300, 'NaN', 'Infinity', '-Infinity', 1e-320, NULL"
)
CODES = "-1, -2, 0, 4, 7, 99, 100, 2147483648, 9007199254740992, NULL"


def _each(values: str, type: str = "DOUBLE") -> str:
    """One of the values in each row, in turn."""
    texts = ", ".join(f"CAST({value.strip()} AS {type})" for value in values.split(","))
    return f"list_extract([{texts}], CAST(n % {values.count(',') + 1} + 1 AS INTEGER))"


def _replace(columns: str) -> str:
    """The file with other columns; `n` numbers its rows from 1."""
    return (
        f"SELECT * EXCLUDE (n) REPLACE ({columns})"
        " FROM (SELECT *, row_number() OVER () AS n FROM raw)"
    )


def _times(pickup: str, dropoff: str, *others: str) -> str:
    times = (f"{pickup} AS tpep_pickup_datetime", f"{dropoff} AS tpep_dropoff_datetime")
    return _replace(", ".join([*times, *others]))


MINUTE = "to_minutes(CAST(n AS INTEGER))"
TWO_MINUTES = "to_minutes(CAST(n * 7 % 240 AS INTEGER))"
COMPANIES = "'HV0009', NULL, '', 'hv0003', ' HV0005'"

ODD_MONTHS: dict[str, tuple[TripMonth, str]] = {
    "columns without values": (
        TripMonth("yellow", 2021, 1),
        _replace(
            "CAST(NULL AS DOUBLE) AS tip_amount, CAST(NULL AS BIGINT) AS payment_type,"
            " NULL AS store_and_fwd_flag, CAST(NULL AS BIGINT) AS DOLocationID"
        ),
    ),
    "all rows rejected": (
        TripMonth("yellow", 2021, 2),
        _times("tpep_pickup_datetime", "tpep_pickup_datetime - INTERVAL 1 MINUTE"),
    ),
    "the clock is set forward": (
        TripMonth("yellow", 2021, 3),
        _times(
            f"TIMESTAMP '2021-03-13 23:00:00' + {MINUTE}",
            f"TIMESTAMP '2021-03-13 23:00:00' + {MINUTE} + {TWO_MINUTES}",
        ),
    ),
    "codes that no one declared": (
        TripMonth("yellow", 2021, 4),
        _replace(
            f"{_each(CODES)} AS payment_type, {_each(CODES, 'BIGINT')} AS RatecodeID,"
            f" {_each(CODES, 'BIGINT')} AS VendorID, {_each('0, 1, 264, 265, 266, -1, NULL')}"
            " AS PULocationID, CAST(n % 12 AS DOUBLE) AS passenger_count"
        ),
    ),
    "extreme amounts": (
        TripMonth("yellow", 2021, 5),
        _replace(
            f"{_each(EXTREMES)} AS total_amount, {_each(EXTREMES)} AS extra,"
            f" {_each(EXTREMES)} AS trip_distance"
        ),
    ),
    "other types": (
        TripMonth("yellow", 2021, 6),
        _replace(
            "CAST(total_amount AS DECIMAL(12, 3)) AS total_amount, CAST(fare_amount AS FLOAT) AS"
            " fare_amount, CAST(tip_amount AS VARCHAR) AS tip_amount, CAST(VendorID AS INTEGER) AS"
            " VendorID, CAST(PULocationID AS USMALLINT) AS PULocationID, CAST(payment_type AS"
            " VARCHAR) AS payment_type, CAST(tolls_amount AS BIGINT) AS tolls_amount"
        ),
    ),
    "rows that are there three times": (
        TripMonth("yellow", 2021, 7),
        "SELECT raw.* FROM raw, range(3)",
    ),
    "charges": (TripMonth("yellow", 2021, 8), "FROM raw"),
    "their reversals in the next file": (
        TripMonth("yellow", 2021, 9),
        _times(
            "tpep_pickup_datetime - INTERVAL 31 DAYS",
            "tpep_dropoff_datetime - INTERVAL 31 DAYS",
            "-total_amount AS total_amount",
            "-fare_amount AS fare_amount",
        ),
    ),
    "pickups far from the month": (
        TripMonth("yellow", 2021, 10),
        _times(
            *(
                _each(
                    "'1900-01-01', '2008-12-31 23:59:59', '2021-08-31', '2021-08-30 23:59:59',"
                    f" '2021-12-01 23:59:59.999999', '2021-12-02', '2098-09-11', '2021-10-05'{end}",
                    "TIMESTAMP",
                )
                for end in (", '2021-10-31 23:59:59.999'", ", '2021-11-01 00:00:00'")
            )
        ),
    ),
    "the clock is set back": (
        TripMonth("yellow", 2021, 11),
        _times(
            f"TIMESTAMP '2021-11-06 22:00:00' + {MINUTE}",
            f"TIMESTAMP '2021-11-06 22:00:00' + {MINUTE} + {TWO_MINUTES} - INTERVAL 40 MINUTES",
        ),
    ),
    "columns that are missing, and others": (
        TripMonth("yellow", 2021, 12),
        "SELECT * EXCLUDE (congestion_surcharge, airport_fee, store_and_fwd_flag), 'x' AS"
        " \"Fahrer's Name\", {'a': 1}::VARCHAR AS note, 1.5 AS total_amount_2 FROM raw",
    ),
    "names of 2009": (TripMonth("yellow", 2009, 1), "FROM raw"),
    "no places": (
        TripMonth("fhv", 2021, 1),
        "SELECT * REPLACE (CAST(NULL AS DOUBLE) AS PUlocationID, CAST(NULL AS DOUBLE) AS"
        " DOlocationID, 'Y' AS SR_Flag) FROM raw",
    ),
    "companies that no one knows": (
        TripMonth("fhvhv", 2021, 1),
        _replace(f"{_each(COMPANIES, 'VARCHAR')} AS hvfhs_license_num"),
    ),
    "no rows": (TripMonth("green", 2021, 2), "FROM raw LIMIT 0"),
    "all zones unknown": (
        TripMonth("green", 2021, 1),
        "SELECT * REPLACE (264 AS PULocationID, NULL AS DOLocationID) FROM raw",
    ),
}


def write_odd_month(name: str, month_file: Callable[..., Path], folder: Path, rows: int) -> Path:
    """Write the month's raw file; returns its path."""
    trips, query = ODD_MONTHS[name]
    path = folder / f"{trips.stem}.parquet"
    with duckdb.connect() as db:
        db.execute(f"CREATE VIEW raw AS FROM '{month_file(trips, rows)}'")
        db.execute(f"COPY ({query}) TO '{path}'")
    return path
