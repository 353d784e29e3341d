"""The views `rides` and `rides_labeled`: yellow and green trips under common column names."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from nyc_taxi.trips.descriptions import DESCRIPTIONS
from nyc_taxi.trips.lookup_tables import LOOKUPS, NAME
from nyc_taxi.trips.schemas import SERVICES, Color
from nyc_taxi.trips.table_comments import CLOCK, MONTH, Comments, column_comment

RIDES_COLORS: tuple[Color, ...] = ("yellow", "green")
"""The street-hail taxis: the colors that the views combine."""
ZONES = "zones"
TABLES = (*(f"{color}_rides" for color in RIDES_COLORS), ZONES, *LOOKUPS)
"""Tables that the views read."""
_NUMBERS = {
    *("smallint", "integer", "bigint", "double", "double precision"),
    *("int", "int64", "float64", "float"),
}
Columns = Mapping[str, str]
"""Names and types of a table's columns, as the warehouse spells them."""


@dataclass(frozen=True)
class View:
    name: str
    query: str
    """Unquoted SQL that every warehouse accepts."""
    comments: Comments
    """Name the view's columns, in its order."""


@dataclass(frozen=True)
class Label:
    """A column of `rides_labeled`: the name of a code."""

    name: str
    comment: str
    code: str
    """Column of the trips."""
    table: str
    key: str
    value: str
    """Column of the lookup table with the name."""
    alias: str
    """Alias of the lookup table in the query, which joins the zones twice."""


LABELS = (
    *(
        Label(f"{table[:-1]}_name", f"What {key} stands for.", key, table, key, NAME, table)
        for table, key in LOOKUPS.items()
    ),
    *(
        Label(
            f"{end}_{value.lower()}", f"{value} of {code}.", code, ZONES, "LocationID", value, end
        )
        for end, code in (("pickup", "PULocationID"), ("dropoff", "DOLocationID"))
        for value in ("Borough", "Zone")
    ),
)


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


def rides_views(tables: Mapping[str, Columns], sql_name: Callable[[str], str]) -> list[View]:
    """Return the views that can be created: `rides` over the colors' tables; `rides_labeled` once
    the zones and all lookup tables exist as well.

    `tables`: the existing ones of TABLES and their columns, which may be empty for lookup tables.
    The views omit a column that any table lacks, for example because a rule dropped it.
    """
    trips = {
        color: columns
        for color in RIDES_COLORS
        if "trip_month" in (columns := _lower(tables.get(f"{color}_rides", {})))
    }
    if not trips:
        return []
    rides = _rides(trips, sql_name)
    if not {ZONES, *LOOKUPS} <= tables.keys():
        return [rides]
    return [rides, _rides_labeled(rides, trips, _lower(tables[ZONES]), sql_name)]


def _lower(columns: Columns) -> Columns:
    return {name.lower(): kind.lower() for name, kind in columns.items()}


def _rides(trips: Mapping[Color, Columns], sql_name: Callable[[str], str]) -> View:
    omitted = {
        name
        for color, columns in trips.items()
        for column, name in rides_columns(color)
        if column.lower() not in columns
    }
    comments = {
        "color": "Color of the taxi: yellow or green.",
        "trip_month": DESCRIPTIONS["trip_month"],
    }
    for own, name in rides_columns(RIDES_COLORS[0]):
        column = SERVICES[RIDES_COLORS[0]].column(own)
        if column and name not in omitted:
            comments[name] = column_comment(column)
    about = f"Yellow and green taxi trips together, one row per trip. {MONTH} {CLOCK}"
    return View("rides", _union(trips, comments, (), sql_name), Comments(about, comments))


def _union(
    trips: Mapping[Color, Columns],
    names: Collection[str],
    codes: Collection[str],
    sql_name: Callable[[str], str],
) -> str:
    """Return a query of the trips of all colors.

    `names`: columns of `rides`; `codes`: columns that only some of the tables have.
    """
    parts = []
    for color, columns in trips.items():
        select = [f"{own} AS {name}" for own, name in rides_columns(color) if name in names]
        select += [
            f"{code if code.lower() in columns else 'CAST(NULL AS BIGINT)'} AS {code}"
            for code in codes
        ]
        parts.append(
            f"SELECT '{color}' AS color, trip_month, {', '.join(select)} "
            f"FROM {sql_name(f'{color}_rides')}"
        )
    return " UNION ALL ".join(parts)


def _rides_labeled(
    rides: View, trips: Mapping[Color, Columns], zones: Columns, sql_name: Callable[[str], str]
) -> View:
    """Return the view of every trip of `rides` with the names of its codes; null if unknown."""
    labels = [label for label in LABELS if _can_join(label, trips, zones)]
    names = rides.comments.columns
    extra = list(dict.fromkeys(label.code for label in labels if label.code not in names))
    shown = [f"rides.{name}" for name in names]
    shown += [f"{label.alias}.{label.value} AS {label.name}" for label in labels]
    joins = {
        f" LEFT JOIN {sql_name(label.table)} AS {label.alias}"
        f" ON rides.{label.code} = {label.alias}.{label.key}": None
        for label in labels
    }
    return View(
        "rides_labeled",
        f"SELECT {', '.join(shown)} FROM ({_union(trips, names, extra, sql_name)}) AS rides"
        + "".join(joins),
        Comments(
            f"{rides.comments.table} Names of codes and zones are null where they are unknown.",
            {**names, **{label.name: label.comment for label in labels}},
        ),
    )


def _can_join(label: Label, trips: Mapping[Color, Columns], zones: Columns) -> bool:
    """Return whether both keys exist and are numbers: a rule may have dropped or hashed them."""
    declared = (color for color in trips if SERVICES[color].column(label.code))
    kinds = [trips[color].get(label.code.lower(), "") for color in declared]
    if label.table == ZONES:
        kinds.append(zones.get(label.key.lower(), ""))
        if label.value.lower() not in zones:
            return False
    return _NUMBERS.issuperset(kinds)
