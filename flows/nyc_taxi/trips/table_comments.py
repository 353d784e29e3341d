"""Comments that the warehouses keep with their tables, views and columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nyc_taxi.trips.descriptions import DESCRIPTIONS
from nyc_taxi.trips.lookup_tables import LOOKUPS, NAME
from nyc_taxi.trips.schemas import SERVICES, Color, Column

SOURCE = "https://www.nyc.gov/site/tlc/about/tlc-trip-record-data.page"
CLOCK = "Times are New York wall-clock times without a time zone; amounts are US dollars."
MONTH = "trip_month is the month of the published file."


@dataclass(frozen=True)
class Comments:
    """Comments of one table or view; empty where there is none."""

    table: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)

    def changes(self, found: Comments) -> Comments:
        """Return what to write where a store has these columns and comments.

        Columns that are not named here keep what they have. Case does not matter.
        """
        wanted = {name.lower(): text for name, text in self.columns.items()}
        return Comments(
            self.table if self.table != found.table else "",
            {
                name: wanted[name.lower()]
                for name, text in found.columns.items()
                if wanted.get(name.lower(), text) != text
            },
        )

    def over(self, found: Comments) -> Comments:
        """Return these comments, and those found where there are none here."""
        wanted = {name.lower(): text for name, text in self.columns.items()}
        kept = {name.lower(): text for name, text in found.columns.items()}
        return Comments(self.table or found.table, kept | wanted)


NO_COMMENTS = Comments()


def trips_comments(color: Color) -> Comments:
    """Return the comments of a color's table: grain, source and time zone; unit and codes."""
    columns = {c.name: column_comment(c) for c in SERVICES[color].columns}
    return Comments(
        f"Trips of {SERVICES[color].vehicles}, one row per trip as published. {MONTH} {CLOCK} "
        f"Source: {SOURCE}",
        {"trip_month": DESCRIPTIONS["trip_month"], **columns},
    )


def lookup_comments(table: str) -> Comments:
    key = LOOKUPS[table]
    return Comments(
        f"Names of the codes in the trips' column {key}, one row per code. "
        f"Source: the TLC's data dictionaries, {SOURCE}",
        {key: f"Code, as in the trips' column {key}.", NAME: "What the code stands for."},
    )


def column_comment(column: Column) -> str:
    text = column.description
    if column.unit:
        text = f"{text.removesuffix('.')} ({column.unit})."
    if names := column.code_names:
        codes = ", ".join(f"{code} = {name}" for code, name in names.items())
        text += f" Codes: {codes}."
    return text
