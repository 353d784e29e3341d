"""The TLC's four services, named by the color of their files, each with one declared schema.

Source: the TLC's data dictionaries
(https://www.nyc.gov/site/tlc/about/tlc-trip-record-data.page). Names are spelled as in the newest
files. Times are New York local time without a time zone, amounts are US dollars, distances are
miles. The grain is one trip.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from nyc_taxi.trips.descriptions import CODES, DESCRIPTIONS, UNITS
from nyc_taxi.trips.ui_field import ui_field

Color = Annotated[
    Literal["yellow", "green", "fhv", "fhvhv"],
    ui_field("Yellow and green taxis, for-hire vehicles, or Uber and Lyft (fhvhv)."),
]
Type = Literal["SMALLINT", "INTEGER", "BIGINT", "DOUBLE", "TIMESTAMP", "VARCHAR"]
"""Column types that every lake and warehouse supports.

The schemas below use the last four; SMALLINT and INTEGER are for config/column_types.yaml.
"""
INTEGER_TYPES: tuple[Type, ...] = ("SMALLINT", "INTEGER", "BIGINT")
"""From narrow to wide."""


@dataclass(frozen=True)
class Column:
    """A column of a declared schema, with its names in the files of other years.

    Case and surrounding blanks are ignored: `airport_fee` also matches `Airport_fee`.
    """

    name: str
    type: Type
    aliases: tuple[str, ...] = ()
    codes: Mapping[str, str] = field(default_factory=dict)
    """Code for each text (lower-case) that older files contain instead of it."""
    required: bool = False
    """Every published file has it, so a file without it is rejected."""
    optional: bool = False
    """Omitted if the file does not have it, instead of filled with nulls."""

    @property
    def description(self) -> str:
        """Meaning by the TLC's data dictionary; empty for an undeclared column."""
        return DESCRIPTIONS.get(self.name, "")

    @property
    def unit(self) -> str:
        """Unit of the values; empty for codes, ids and texts."""
        return UNITS.get(self.name, "")

    @property
    def code_names(self) -> Mapping[int | str, str]:
        """What each code stands for; empty for a column without codes."""
        return CODES.get(self.name, {})


@dataclass(frozen=True)
class Service:
    """One color: its schema, and the columns that tables and reports rely on."""

    vehicles: str
    """Plural, for the comments on tables."""
    first: tuple[int, int]
    """Year and month of the first published file."""
    columns: tuple[Column, ...]
    pickup: str
    dropoff: str
    pickup_zone: str
    total: str | None = None
    """Column with what the passenger paid, if the files have one."""

    @property
    def key_columns(self) -> tuple[Column, ...]:
        """Columns used to cluster, index and identify tables and to report on months."""
        names = (self.pickup, self.dropoff, self.pickup_zone, "passenger_count", self.total)
        return tuple(c for c in self.columns if c.name in names)

    def column(self, name: str) -> Column | None:
        return next((c for c in self.columns if c.name.lower() == name.lower()), None)


def _id(name: str, *aliases: str, required: bool = False, **codes: str) -> Column:
    return Column(name, "BIGINT", aliases, codes, required)


def _amount(name: str, *aliases: str, required: bool = False) -> Column:
    return Column(name, "DOUBLE", aliases, required=required)


def _time(name: str, *aliases: str, required: bool = False) -> Column:
    return Column(name, "TIMESTAMP", aliases, required=required)


def _text(name: str, *aliases: str, required: bool = False, **codes: str) -> Column:
    return Column(name, "VARCHAR", aliases, codes, required)


def _flag(name: str, *aliases: str) -> Column:
    return Column(name, "VARCHAR", aliases, _FLAG_CODES)


# The TLC has no number for DDS (Digital Dispatch Systems, until 2010); 3 is this project's choice.
_VENDOR = _id("VendorID", "vendor_name", "vendor_id", required=True, cmt="1", vts="2", dds="3")
_PAYMENT_CODES = {
    **dict.fromkeys(("credit", "cre", "crd"), "1"),
    **dict.fromkeys(("cash", "cas", "csh"), "2"),
    **dict.fromkeys(("no charge", "noc", "no"), "3"),
    **dict.fromkeys(("dispute", "dis"), "4"),
    **dict.fromkeys(("unknown", "unk", "na"), "5"),
}
_FLAG_CODES = {
    **dict.fromkeys(("y", "yes", "t", "true", "1", "1.0"), "Y"),
    **dict.fromkeys(("n", "no", "f", "false", "0", "0.0"), "N"),
}
_SHARED_CODES = {
    **dict.fromkeys(("y", "yes", "t", "true"), "1"),
    **dict.fromkeys(("n", "no", "f", "false"), "0"),
}
_RATE = _id("RatecodeID", "rate_code", "rate_code_id")
_FLAG = _flag("store_and_fwd_flag", "store_and_forward")
_ZONES = (
    _id("PULocationID", "pickup_location_id"),
    _id("DOLocationID", "dropoff_location_id"),
)
_PASSENGERS = _id("passenger_count", required=True)
_DISTANCE = _amount("trip_distance", required=True)
_PAYMENT = Column("payment_type", "BIGINT", codes=_PAYMENT_CODES, required=True)
_FARE = (
    _amount("fare_amount", "fare_amt", required=True),
    _amount("extra", "surcharge"),
    _amount("mta_tax"),
    _amount("tip_amount", "tip_amt", required=True),
    _amount("tolls_amount", "tolls_amt", required=True),
)
_TOTAL = _amount("total_amount", "total_amt", required=True)
_COORDINATES = tuple(
    Column(name, "DOUBLE", (alias,), optional=True)
    for name, alias in (
        ("pickup_longitude", "start_lon"),
        ("pickup_latitude", "start_lat"),
        ("dropoff_longitude", "end_lon"),
        ("dropoff_latitude", "end_lat"),
    )
)

SERVICES: dict[Color, Service] = {
    "yellow": Service(
        vehicles="yellow taxis",
        first=(2009, 1),
        pickup="tpep_pickup_datetime",
        dropoff="tpep_dropoff_datetime",
        pickup_zone="PULocationID",
        total="total_amount",
        columns=(
            _VENDOR,
            _time("tpep_pickup_datetime", "trip_pickup_datetime", "pickup_datetime", required=True),
            _time(
                "tpep_dropoff_datetime", "trip_dropoff_datetime", "dropoff_datetime", required=True
            ),
            _PASSENGERS,
            _DISTANCE,
            _RATE,
            _FLAG,
            *_ZONES,
            _PAYMENT,
            *_FARE,
            _amount("improvement_surcharge"),
            _TOTAL,
            _amount("congestion_surcharge"),
            _amount("airport_fee"),
            _amount("cbd_congestion_fee"),
            *_COORDINATES,
        ),
    ),
    "green": Service(
        vehicles="green taxis",
        first=(2013, 8),
        pickup="lpep_pickup_datetime",
        dropoff="lpep_dropoff_datetime",
        pickup_zone="PULocationID",
        total="total_amount",
        columns=(
            _VENDOR,
            _time("lpep_pickup_datetime", required=True),
            _time("lpep_dropoff_datetime", required=True),
            _FLAG,
            _RATE,
            *_ZONES,
            _PASSENGERS,
            _DISTANCE,
            *_FARE,
            _amount("ehail_fee"),
            _amount("improvement_surcharge"),
            _TOTAL,
            _PAYMENT,
            _id("trip_type"),
            _amount("congestion_surcharge"),
            _amount("cbd_congestion_fee"),
            *_COORDINATES,
        ),
    ),
    "fhv": Service(
        vehicles="for-hire vehicles",
        first=(2015, 1),
        pickup="pickup_datetime",
        dropoff="dropOff_datetime",
        pickup_zone="PUlocationID",
        columns=(
            _text("dispatching_base_num", "dispatching_base_number", required=True),
            _time("pickup_datetime", "pickup_date", required=True),
            _time("dropOff_datetime"),
            _id("PUlocationID", "locationid"),
            _id("DOlocationID"),
            Column("SR_Flag", "BIGINT", codes=_SHARED_CODES),
            _text("Affiliated_base_number"),
        ),
    ),
    "fhvhv": Service(
        vehicles="high-volume for-hire vehicles (Uber, Lyft, Via, Juno)",
        first=(2019, 2),
        pickup="pickup_datetime",
        dropoff="dropoff_datetime",
        pickup_zone="PULocationID",
        total="base_passenger_fare",
        columns=(
            _text("hvfhs_license_num", required=True),
            _text("dispatching_base_num", required=True),
            _text("originating_base_num"),
            _time("request_datetime"),
            _time("on_scene_datetime"),
            _time("pickup_datetime", required=True),
            _time("dropoff_datetime", required=True),
            _id("PULocationID", required=True),
            _id("DOLocationID", required=True),
            _amount("trip_miles"),
            _id("trip_time"),
            _amount("base_passenger_fare"),
            _amount("tolls"),
            _amount("bcf"),
            _amount("sales_tax"),
            _amount("congestion_surcharge"),
            _amount("airport_fee"),
            _amount("tips"),
            _amount("driver_pay"),
            _flag("shared_request_flag"),
            _flag("shared_match_flag"),
            _flag("access_a_ride_flag"),
            _flag("wav_request_flag"),
            _flag("wav_match_flag"),
            _amount("cbd_congestion_fee"),
            # Only in the CSV files of 2019 to 2021.
            Column("SR_Flag", "BIGINT", codes=_SHARED_CODES, optional=True),
        ),
    ),
}
