"""The data dictionary, from the declared schemas and the eras of the published files."""

from __future__ import annotations

from dataclasses import fields
from typing import cast

from docs.tools.pages import markdown_table
from nyc_taxi.sources.open_meteo_tables import HOURLY_TABLES
from nyc_taxi.trips.descriptions import CODES
from nyc_taxi.trips.rides_view import RIDES_COLORS, rides_columns
from nyc_taxi.trips.schemas import SERVICES, Color, Column
from nyc_taxi.warehouses.loads import LOADS_COMMENTS, Load
from synthetic_tlc.csvs import CSVS, LAST_CSV, csv_fields
from synthetic_tlc.eras import ERAS

END = 999_999
"""A month after every other."""


def columns(color: str) -> str:
    """Return the columns of a color: name, type, unit, meaning, codes and months with values."""
    rows = [
        [
            f"`{column.name}`",
            column.type,
            column.unit,
            column.description,
            _codes(column),
            months(color, column),
        ]
        for column in SERVICES[cast(Color, color)].columns
    ]
    return markdown_table(["column", "type", "unit", "meaning", "codes", "months"], rows)


def aliases(color: str) -> str:
    """Return the names and texts of other years that become a column or a code."""
    rows = [
        [
            f"`{column.name}`",
            ", ".join(f"`{name}`" for name in column.aliases),
            ", ".join(f"`{text}` = {code}" for text, code in column.codes.items()),
        ]
        for column in SERVICES[cast(Color, color)].columns
        if column.aliases or column.codes
    ]
    return markdown_table(["column", "names in other years", "texts read as a code"], rows)


def rides() -> str:
    """Return the columns of the view `rides`, and where each comes from."""
    names = [dict(rides_columns(color)) for color in RIDES_COLORS]
    shown = [name for _, name in rides_columns(RIDES_COLORS[0])]
    sources = [{name: own for own, name in one.items()} for one in names]
    header = ["column", *(f"in `{color}_rides`" for color in RIDES_COLORS)]
    return markdown_table(
        header, [[f"`{name}`", *(f"`{one[name]}`" for one in sources)] for name in shown]
    )


def hours(folder: str) -> str:
    """Return the columns of an hourly table, by the name of its folder in the lake."""
    table = next(table for table in HOURLY_TABLES if table.folder == folder)
    keys = {"location": "VARCHAR", "load_id": "VARCHAR"}
    own = {column.name: column for column in table.columns}
    rows = [
        [
            f"`{name}`",
            own[name].type if name in own else keys.get(name, "TIMESTAMP"),
            own[name].unit if name in own else "",
            own[name].description if name in own else comment,
        ]
        for name, comment in sorted(
            table.comments.columns.items(), key=lambda item: item[0] in ("load_id", "fetched_at")
        )
    ]
    return markdown_table(["column", "type", "unit", "meaning"], rows)


def loads() -> str:
    """Return the columns of the table `loads`, with their types in DuckDB."""
    types = {"str": "VARCHAR", "int": "BIGINT", "date": "DATE", "datetime": "TIMESTAMP"}
    rows = [
        [f"`{f.name}`", types[str(f.type).partition(" ")[0]], LOADS_COMMENTS.columns[f.name]]
        for f in fields(Load)
    ]
    return markdown_table(["column", "type", "meaning"], rows)


def codes(name: str) -> str:
    rows = [[f"`{code}`", meaning] for code, meaning in CODES[name].items()]
    return markdown_table(["code", "meaning"], rows)


def _codes(column: Column) -> str:
    return f"[{column.name}](#{column.name.lower()})" if column.code_names else ""


def months(color: str, column: Column) -> str:
    """Return the months in which the published files have values of the column."""
    names = {column.name.lower(), *column.aliases}
    parquet = {
        since: any(
            c.name.lower() in names and c.field != "nothing" and str(c.type) != "null"
            for c in layout
        )
        for since, layout in ERAS[color].items()
    }
    found = _ranges(parquet, END)
    if column.optional:
        csv = {
            since: any(
                name.strip().lower() in names and field != "nothing"
                for name, field in zip(form.header.split(","), csv_fields(form), strict=True)
            )
            for since, form in CSVS[color].items()
        }
        last = LAST_CSV[0] * 100 + LAST_CSV[1]
        found += [f"{text} (CSV)" for text in _ranges(csv, last + 1)]
    return ", ".join(found) or "none"


def _ranges(present: dict[int, bool], end: int) -> list[str]:
    """Return the months, such as 202101, at which values begin and end, as ranges."""
    found: list[tuple[int, int]] = []
    starts = sorted(present)
    for since, until in zip(starts, [*starts[1:], end], strict=True):
        if present[since]:
            first = found.pop()[0] if found and found[-1][1] == since else since
            found.append((first, until))
    return [
        f"since {_month(first)}" if until == END else f"{_month(first)} to {_month(_before(until))}"
        for first, until in found
    ]


def _before(month: int) -> int:
    return month - 1 if month % 100 > 1 else month - 89


def _month(month: int) -> str:
    return f"{month // 100}-{month % 100:02}"
