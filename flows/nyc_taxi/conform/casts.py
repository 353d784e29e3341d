"""Casts of the columns of a raw file: which are allowed, and the SQL of each."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from nyc_taxi.conform.cast_sql import CastSql
from nyc_taxi.conform.counters import Counters
from nyc_taxi.errors import SchemaMismatchError
from nyc_taxi.storage.duckdb_engine import literal, quoted
from nyc_taxi.trips.schemas import INTEGER_TYPES, Column, Type

_SMALL_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT", "UINTEGER")
_LARGE_INTEGERS = ("UBIGINT", "HUGEINT", "UHUGEINT", "BIGNUM")
_TIMESTAMPS = ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS")
_ZONED_TIMESTAMPS = ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ", "TIMESTAMPTZ_NS")
_EXPECTED: dict[str, str] = {
    **{kind: f"which is not an integer in the range of {kind}" for kind in INTEGER_TYPES},
    "DOUBLE": "which is not a number that DOUBLE represents exactly",
    "TIMESTAMP": "which is not a timestamp such as 2021-01-31 23:59:59, without a time zone",
    "VARCHAR": "which contains a NUL character, which PostgreSQL cannot store",
}
_Method = Callable[[CastSql, str], str]
_TO_INTEGER: dict[str, _Method] = {
    **dict.fromkeys((*_SMALL_INTEGERS, "BIGINT"), CastSql.integer_to_integer),
    **dict.fromkeys((*_LARGE_INTEGERS, "DECIMAL"), CastSql.decimal_to_integer),
    **dict.fromkeys(("FLOAT", "DOUBLE"), CastSql.float_to_integer),
    "VARCHAR": CastSql.text_to_integer,
}
_CASTS: dict[Type, dict[str, _Method]] = {
    **dict.fromkeys(INTEGER_TYPES, _TO_INTEGER),
    "DOUBLE": {
        **dict.fromkeys(_SMALL_INTEGERS, CastSql.plain_cast),
        "BIGINT": CastSql.integer_to_double,
        **dict.fromkeys((*_LARGE_INTEGERS, "DECIMAL"), CastSql.decimal_to_double),
        **dict.fromkeys(("FLOAT", "DOUBLE"), CastSql.float_to_double),
        "VARCHAR": CastSql.text_to_double,
    },
    "TIMESTAMP": {
        **dict.fromkeys((*_TIMESTAMPS, "DATE"), CastSql.timestamp_to_timestamp),
        "TIMESTAMP_NS": CastSql.nanoseconds_to_timestamp,
        "VARCHAR": CastSql.text_to_timestamp,
    },
    "VARCHAR": {
        **dict.fromkeys((*_SMALL_INTEGERS, "BIGINT", *_LARGE_INTEGERS), CastSql.number_to_text),
        **dict.fromkeys(("FLOAT", "DOUBLE"), CastSql.float_to_text),
        "DECIMAL": CastSql.number_to_text,
        "VARCHAR": CastSql.text_to_text,
    },
}
"""For each declared type, the accepted types of a file and how each is cast."""


def cast_column(
    column: Column,
    source: str,
    kind: str,
    file: str,
    secret: bool = False,
    counters: Counters | None = None,
) -> str:
    """Return SQL that casts a column of the file to its declared type, or fails on a bad value.

    The error shows the value unless it is secret. Raises SchemaMismatchError if the type in the
    file cannot be cast.
    """
    value, base = quoted(source), base_type(kind)
    if base == "NULL":
        return f"CAST(NULL AS {column.type})"
    if base == "BOOLEAN" and "true" in column.codes:
        value, base = f"CAST({value} AS VARCHAR)", "VARCHAR"
    method = _CASTS[column.type].get(base)
    if method is None:
        fix = "; rewrite the file with New York times without a time zone" if is_zoned(kind) else ""
        raise SchemaMismatchError(
            f"{file} has {column.name} as {kind}, which cannot be cast to {column.type}{fix}"
        )
    failure = _failure_sql(column.name, value, secret, _EXPECTED[column.type])
    return method(CastSql(column.name, column.type, column.codes, failure, counters), value)


def cast_undeclared(
    source: str,
    kind: str,
    file: str,
    rule: Type | None = None,
    secret: bool = False,
    counters: Counters | None = None,
) -> tuple[str, str]:
    """Return SQL and type of an undeclared column, in a type that every warehouse supports.

    Numbers get the widest type of their kind, since the TLC writes the same column in several
    widths; values that would not fit become text, nested values JSON. A timestamp with a time zone
    is converted to UTC. `rule`: the type that a rule sets instead.
    """
    name = source.strip()
    default, method = _default_cast(kind)
    if rule and (rule not in (default, "VARCHAR") or default == "DOUBLE"):
        return cast_column(Column(name, rule), source, kind, file, secret, counters), rule
    if rule and rule != default and method != CastSql.nested_to_json:
        method = CastSql.other_to_text
    target = rule or default
    if base_type(kind) == "NULL":
        return f"CAST(NULL AS {target})", target
    value, expected = quoted(source), _EXPECTED.get(target, f"which does not fit {target}")
    failure = _failure_sql(name, value, secret, expected)
    return method(CastSql(name, target, {}, failure, counters), value), target


def _default_cast(kind: str) -> tuple[str, _Method]:
    base = base_type(kind)
    if base in (*_SMALL_INTEGERS, "BIGINT"):
        return "BIGINT", CastSql.plain_cast
    if base in ("FLOAT", "DOUBLE"):
        return "DOUBLE", CastSql.float_to_double
    if match := re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", kind):
        precision, scale = int(match[1]), int(match[2])
        if scale == 0 and precision <= 18:
            return "BIGINT", CastSql.plain_cast
        return (
            ("DOUBLE", CastSql.plain_cast) if precision <= 15 else ("VARCHAR", CastSql.plain_cast)
        )
    if base == "TIMESTAMP_NS":
        return "TIMESTAMP", CastSql.nanoseconds_to_timestamp
    if base in _TIMESTAMPS:
        return "TIMESTAMP", CastSql.timestamp_to_timestamp
    if base == "TIMESTAMPTZ_NS":
        return "TIMESTAMP", CastSql.zoned_nanoseconds_to_utc
    if base in _ZONED_TIMESTAMPS:
        return "TIMESTAMP", CastSql.zoned_to_utc
    if base == "DATE":
        return "DATE", CastSql.date_to_date
    if base == "BOOLEAN":
        return "BOOLEAN", CastSql.plain_cast
    if base in ("LIST", "STRUCT", "MAP", "UNION", "TUPLE", "VARIANT"):
        return "VARCHAR", CastSql.nested_to_json
    return "VARCHAR", CastSql.other_to_text


def base_type(kind: str) -> str:
    """Return `DECIMAL` for `DECIMAL(18,2)`, `LIST` for `INTEGER[]`, `NULL` if all are nulls."""
    return "LIST" if kind.endswith("]") else kind.partition("(")[0].strip('" ')


def is_zoned(kind: str) -> bool:
    return base_type(kind) in _ZONED_TIMESTAMPS


def reject_conflicts(values: Mapping[str, str], kind: Type, secret: bool) -> str:
    """Return SQL of a null, which fails if several sources of one column have different values.

    `values`: for each source, SQL of its value in the column's type.
    """
    shown = " || ' and ' || ".join(
        f"{literal(name)} || ' holds ' || " + _shown(value, secret)
        for name, value in values.items()
    )
    keys = ", ".join(non_blank(value) if kind == "VARCHAR" else value for value in values.values())
    return (
        f"CASE WHEN least({keys}) <> greatest({keys}) "
        f"THEN error({shown} || ': two values of one column') END"
    )


def non_blank(text: str) -> str:
    """Return SQL of a trimmed text; null if it is blank."""
    return f"nullif(trim({text}), '')"


def _failure_sql(name: str, value: str, secret: bool, reason: str) -> str:
    text = literal(f", {reason}")
    return f"error({literal(name)} || ' holds ' || {_shown(value, secret)} || {text})"


def _shown(value: str, secret: bool) -> str:
    """Return SQL of the value for an error message, on one line."""
    text = f"left(regexp_replace(CAST({value} AS VARCHAR), '[[:cntrl:]]', '?', 'g'), 80)"
    return "'a hidden value'" if secret else f"coalesce({text}, 'null')"
