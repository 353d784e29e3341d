"""The view `rides`: yellow and green trips under common column names."""

from collections.abc import Collection, Mapping

from nyc_taxi.trips.schemas import SERVICES, Color

RIDES_COLORS: tuple[Color, ...] = ("yellow", "green")
"""The street-hail taxis: the colors whose trips the view `rides` shows together."""


def rides_columns(color: Color) -> list[tuple[str, str]]:
    """(column of the color's table, its name in the view `rides`), in the view's order."""
    services = [SERVICES[c] for c in RIDES_COLORS]
    here = SERVICES[color]
    shared = [
        (c.name, c.name)
        for c in services[0].columns
        if not c.optional and all(s.column(c.name) for s in services)
    ]
    times = [(here.pickup, "pickup_datetime"), (here.dropoff, "dropoff_datetime")]
    return [*shared[:1], *times, *shared[1:]]


def rides_sql(tables: Mapping[Color, str], columns: Mapping[Color, Collection[str]]) -> str:
    """The query of the view `rides` over these tables; the same unquoted SQL for every store.

    `columns`: the names each table has; what one of them has not (dropped by a rule) is not shown.
    """
    there = {color: {name.lower() for name in columns[color]} for color in tables}
    gone = {n for c in tables for own, n in rides_columns(c) if own.lower() not in there[c]}
    parts = (
        f"SELECT '{color}' AS color, trip_month, "
        + ", ".join(f"{own} AS {name}" for own, name in rides_columns(color) if name not in gone)
        + f" FROM {table}"
        for color, table in tables.items()
    )
    return " UNION ALL ".join(parts)
