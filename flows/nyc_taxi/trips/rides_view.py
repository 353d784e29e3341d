"""The view `rides`: yellow and green trips under common column names."""

from collections.abc import Collection, Mapping

from nyc_taxi.trips.schemas import SERVICES, Color

RIDES_COLORS: tuple[Color, ...] = ("yellow", "green")
"""The street-hail taxis: the colors that the view `rides` combines."""


def rides_columns(color: Color) -> list[tuple[str, str]]:
    """Return (column of the color's table, its name in the view), in the view's order."""
    services = [SERVICES[c] for c in RIDES_COLORS]
    service = SERVICES[color]
    shared = [
        (c.name, c.name)
        for c in services[0].columns
        if not c.optional and all(s.column(c.name) for s in services)
    ]
    times = [(service.pickup, "pickup_datetime"), (service.dropoff, "dropoff_datetime")]
    return [*shared[:1], *times, *shared[1:]]


def rides_sql(tables: Mapping[Color, str], columns: Mapping[Color, Collection[str]]) -> str:
    """Return the query of the view over `tables`, in unquoted SQL that every warehouse accepts.

    `columns`: the columns of each table. The view omits a column that any table lacks, for example
    because a rule dropped it.
    """
    existing = {color: {name.lower() for name in columns[color]} for color in tables}
    omitted = {
        name
        for color in tables
        for column, name in rides_columns(color)
        if column.lower() not in existing[color]
    }
    selects = []
    for color, table in tables.items():
        pairs = [(column, name) for column, name in rides_columns(color) if name not in omitted]
        names = ", ".join(f"{column} AS {name}" for column, name in pairs)
        selects.append(f"SELECT '{color}' AS color, trip_month, {names} FROM {table}")
    return " UNION ALL ".join(selects)
