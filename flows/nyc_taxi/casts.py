"""SQL that turns a column of any year into the declared type, or fails on a value that will not."""

from nyc_taxi.colors import Column, Type
from nyc_taxi.engine import literal, quoted
from nyc_taxi.errors import BadSchema

_BROKEN = ("FLOAT", "DOUBLE", "DECIMAL")
_NUMBERS = (
    *("TINYINT", "SMALLINT", "INTEGER", "BIGINT"),
    *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"),
    *_BROKEN,
)
_MOMENTS = ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "DATE")
_TAKES: dict[Type, tuple[str, ...]] = {
    "BIGINT": (*_NUMBERS, "VARCHAR"),
    "DOUBLE": (*_NUMBERS, "VARCHAR"),
    "TIMESTAMP": (*_MOMENTS, "VARCHAR"),
    "VARCHAR": (*_NUMBERS, "VARCHAR"),
}
"""The types a file may hold for each declared one; a column that is all null has none."""


def is_null(kind: str) -> bool:
    return kind.strip('"') == "NULL"


def cast(column: Column, source: str, kind: str, file: str) -> str:
    """SQL that turns one column of the file into the declared type, or fails on a bad value."""
    name = quoted(source)
    if is_null(kind):
        return f"CAST(NULL AS {column.type})"
    if kind.partition("(")[0] not in _TAKES[column.type]:
        raise BadSchema(
            f"{file} holds {column.name} as {kind}, from which no {column.type} can be made"
        )
    bad = f"error({literal(column.name)} || ' holds ' || CAST({name} AS VARCHAR))"
    if column.codes:
        key = f"lower(trim(CAST({name} AS VARCHAR)))"
        cases = " ".join(f"WHEN {literal(k)} THEN {literal(v)}" for k, v in column.codes.items())
        if kind == "VARCHAR" or column.type == "VARCHAR":
            name, kind = f"CASE {key} {cases} ELSE CAST({name} AS VARCHAR) END", "VARCHAR"
    if column.type == "VARCHAR":
        return f"CAST({name} AS VARCHAR)"
    if kind == "VARCHAR":
        blank = f"nullif(trim({name}), '')"
        via = "DOUBLE" if column.type == "BIGINT" else column.type
        parsed = (
            f"coalesce(TRY_CAST({blank} AS {via}), CASE WHEN {blank} IS NOT NULL THEN {bad} END)"
        )
        name, kind = (parsed, "DOUBLE") if column.type == "BIGINT" else (f"({parsed})", column.type)
    if column.type == "BIGINT" and kind.partition("(")[0] in _BROKEN:
        # NaN is how pandas once wrote a missing count.
        return (
            f"CASE WHEN TRY_CAST({name} AS BIGINT) = {name} THEN TRY_CAST({name} AS BIGINT) "
            f"WHEN {name} IS NOT NULL AND NOT isnan(CAST({name} AS DOUBLE)) THEN {bad} END"
        )
    return f"CAST({name} AS {column.type})"
