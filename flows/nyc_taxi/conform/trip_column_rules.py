"""Rules for trips, from `flows/config`, checked against the tables, the view and the reports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nyc_taxi.conform.column_rules import FIELDS_FILE, TYPES_FILE, Rules, read_rules
from nyc_taxi.conform.hashing import check_hash_key
from nyc_taxi.trips.rides_view import rides_columns
from nyc_taxi.trips.schemas import INTEGER_TYPES, SERVICES, Color, Column, Service, Type


def read_trip_rules(folder: Path, color: Color) -> Rules:
    """Read and check the rules. Raises InvalidInputError; call it before any download."""
    rules = read_rules(folder).check_tables(rides_table(c) for c in SERVICES)
    for c, service in SERVICES.items():
        _check_key_columns(rules, c, service)
    for yellow, green in _rides_column_pairs():
        types = _type(rules, "yellow", yellow), _type(rules, "green", green)
        if types[0] != types[1] and not {*types} <= {*INTEGER_TYPES, "DOUBLE"}:
            raise rules.error(
                TYPES_FILE,
                f"yellow_rides.{yellow.name} would be {types[0]} and green_rides.{green.name} "
                f"{types[1]}, but the view rides combines them; give both the same type",
            )
    if rules.hash_any(c.name for c in SERVICES[color].columns):
        check_hash_key(folder / FIELDS_FILE)
    return rules


def rides_table(color: Color) -> str:
    return f"{color}_rides"


def _check_key_columns(rules: Rules, color: Color, service: Service) -> None:
    names = ", ".join(column.name for column in service.key_columns)
    for column in service.key_columns:
        if action := rules.action(column.name):
            raise rules.error(
                FIELDS_FILE,
                f"the action {action} is not allowed for {column.name}: the indexes and reports "
                f"of {color} trips use {names}",
            )
        allowed = INTEGER_TYPES if column.type in INTEGER_TYPES else (column.type,)
        kind = _type(rules, color, column)
        if kind not in allowed:
            raise rules.error(
                TYPES_FILE,
                f"{rides_table(color)}.{column.name} cannot be {kind}: indexes and reports need "
                f"{' or '.join(allowed)}",
            )


def _rides_column_pairs() -> Iterator[tuple[Column, Column]]:
    """Yield the yellow and green columns that the view `rides` combines."""
    for (yellow, _), (green, _) in zip(
        rides_columns("yellow"), rides_columns("green"), strict=True
    ):
        left, right = SERVICES["yellow"].column(yellow), SERVICES["green"].column(green)
        assert left and right
        yield left, right


def _type(rules: Rules, color: Color, column: Column) -> Type:
    return rules.type(rides_table(color), column.name) or column.type
