"""Lookup tables: what the codes in the trips stand for, one table per kind of code."""

from collections.abc import Mapping

from nyc_taxi.trips.descriptions import CODES

LOOKUPS: Mapping[str, str] = {
    "payment_types": "payment_type",
    "rate_codes": "RatecodeID",
    "vendors": "VendorID",
    "trip_types": "trip_type",
}
"""Each table, and the column of the trips whose codes are its key."""
NAME = "name"


def lookup_rows(table: str) -> list[dict[str, int | str]]:
    """Return the rows of a lookup table: the code, under the trips' own column name, and its name.

    Source: the TLC's data dictionaries (see descriptions.py).
    """
    key = LOOKUPS[table]
    return [{key: code, NAME: name} for code, name in CODES[key].items()]
