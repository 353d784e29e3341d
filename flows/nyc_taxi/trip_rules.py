"""The rules for trips: those of `flows/config`, as far as tables, view and reports allow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nyc_taxi.colors import SERVICES, WHOLE, Color, Column, rides_columns
from nyc_taxi.rules import FIELDS_FILE, TYPES_FILE, Rules, hash_key, read_rules


def trip_rules(folder: Path, color: Color) -> Rules:
    """Read and check the rules, before anything is fetched for them to be followed on."""
    rules = read_rules(folder).of_tables(table(c) for c in SERVICES)
    for c, service in SERVICES.items():
        for column in service.kept:
            if action := rules.sensitive.get(column.name.lower()):
                raise rules.refused(
                    FIELDS_FILE,
                    f"{action} cannot be for {column.name}: the tables of {c} trips are indexed "
                    f"and their months reported on by {', '.join(k.name for k in service.kept)}",
                )
            if _kind(rules, c, column) != _kind(Rules(), c, column):
                raise rules.refused(
                    TYPES_FILE,
                    f"{table(c)}.{column.name} must stay a {_kind(Rules(), c, column)}: indexes "
                    "and reports go by it",
                )
    for yellow, green in _shown_together():
        kinds = _kind(rules, "yellow", yellow), _kind(rules, "green", green)
        if kinds[0] != kinds[1]:
            raise rules.refused(
                TYPES_FILE,
                f"yellow_rides.{yellow.name} would be a {kinds[0]} and green_rides.{green.name} a "
                f"{kinds[1]}, and the view rides shows them together; give both the same type",
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


def _kind(rules: Rules, color: Color, column: Column) -> str:
    kind = rules.types.get(table(color), {}).get(column.name.lower(), column.type)
    return "number" if kind in (*WHOLE, "DOUBLE") else kind
