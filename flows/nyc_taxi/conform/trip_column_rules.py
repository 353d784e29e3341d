"""The rules for trips: those of `flows/config`, as far as tables, view and reports allow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nyc_taxi.conform.column_rules import FIELDS_FILE, TYPES_FILE, Rules, hash_key, read_rules
from nyc_taxi.trips.rides_view import rides_columns
from nyc_taxi.trips.schemas import INTEGER_TYPES, SERVICES, Color, Column, Type


def read_trip_rules(folder: Path, color: Color) -> Rules:
    """Read and check the rules, before anything is fetched for them to be followed on."""
    rules = read_rules(folder).of_tables(table(c) for c in SERVICES)
    for c, service in SERVICES.items():
        keys = [column.name for column in service.key_columns]
        for column in service.key_columns:
            if action := rules.action(column.name):
                raise rules.refused(
                    FIELDS_FILE,
                    f"{action} cannot be for {column.name}: the tables of {c} trips are indexed "
                    f"and their months reported on by {', '.join(keys)}",
                )
            allowed = INTEGER_TYPES if column.type in INTEGER_TYPES else (column.type,)
            if _type(rules, c, column) not in allowed:
                raise rules.refused(
                    TYPES_FILE,
                    f"{table(c)}.{column.name} cannot be {_type(rules, c, column)}: indexes and "
                    f"reports want it to be {' or '.join(allowed)}",
                )
    for yellow, green in _shown_together():
        types = _type(rules, "yellow", yellow), _type(rules, "green", green)
        if types[0] != types[1] and not {*types} <= {*INTEGER_TYPES, "DOUBLE"}:
            raise rules.refused(
                TYPES_FILE,
                f"yellow_rides.{yellow.name} would be {types[0]} and green_rides.{green.name} "
                f"{types[1]}, and the view rides shows them together; give both the same type",
            )
    if rules.hashes(c.name for c in SERVICES[color].columns):
        hash_key(folder / FIELDS_FILE)
    return rules


def table(color: Color) -> str:
    return f"{color}_rides"


def _shown_together() -> Iterator[tuple[Column, Column]]:
    for (yellow, _), (green, _) in zip(
        rides_columns("yellow"), rides_columns("green"), strict=True
    ):
        left, right = SERVICES["yellow"].column(yellow), SERVICES["green"].column(green)
        assert left and right
        yield left, right


def _type(rules: Rules, color: Color, column: Column) -> Type:
    return rules.type(table(color), column.name) or column.type
