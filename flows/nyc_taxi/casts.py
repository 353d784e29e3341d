"""SQL that turns a column of any year into the declared type, or fails on a value that will not."""

from nyc_taxi.colors import WHOLE, Column, Type
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
    **dict.fromkeys(WHOLE, (*_NUMBERS, "VARCHAR")),
    "DOUBLE": (*_NUMBERS, "VARCHAR"),
    "TIMESTAMP": (*_MOMENTS, "VARCHAR"),
    "VARCHAR": (*_NUMBERS, "VARCHAR"),
}
"""The types a file may hold for each declared one; a column that is all null has none."""


def is_null(kind: str) -> bool:
    return kind.strip('"') == "NULL"


def cast(column: Column, source: str, kind: str, file: str, secret: bool = False) -> str:
    """SQL that turns one column of the file into the declared type, or fails on a bad value.

    The error shows the value, unless it is secret.
    """
    name = quoted(source)
    if is_null(kind):
        return f"CAST(NULL AS {column.type})"
    if kind.partition("(")[0] not in _TAKES[column.type]:
        raise BadSchema(
            f"{file} holds {column.name} as {kind}, from which no {column.type} can be made"
        )
    value = "'a value not to be shown'" if secret else f"CAST({name} AS VARCHAR)"
    bad = f"error({literal(column.name)} || ' holds ' || {value})"
    if column.codes:
        key = f"lower(trim(CAST({name} AS VARCHAR)))"
        cases = " ".join(f"WHEN {literal(k)} THEN {literal(v)}" for k, v in column.codes.items())
        if kind == "VARCHAR" or column.type == "VARCHAR":
            name, kind = f"CASE {key} {cases} ELSE CAST({name} AS VARCHAR) END", "VARCHAR"
    if column.type == "VARCHAR":
        return f"CAST({name} AS VARCHAR)"
    if kind == "VARCHAR":
        blank = f"nullif(trim({name}), '')"
        via = "DOUBLE" if column.type in WHOLE else column.type
        parsed = (
            f"coalesce(TRY_CAST({blank} AS {via}), CASE WHEN {blank} IS NOT NULL THEN {bad} END)"
        )
        name, kind = (parsed, "DOUBLE") if column.type in WHOLE else (f"({parsed})", column.type)
    if column.type in WHOLE and kind.partition("(")[0] in (*_BROKEN, *_wider(column.type)):
        # NaN is how pandas once wrote a missing count.
        tried = f"TRY_CAST({name} AS {column.type})"
        return (
            f"CASE WHEN {tried} = {name} THEN {tried} "
            f"WHEN {name} IS NOT NULL AND NOT isnan(CAST({name} AS DOUBLE)) THEN {bad} END"
        )
    return f"CAST({name} AS {column.type})"


def _wider(whole: Type) -> tuple[str, ...]:
    """Whole numbers that may not fit; UBIGINT fits none."""
    return (*WHOLE[WHOLE.index(whole) + 1 :], "UINTEGER", "UBIGINT")
