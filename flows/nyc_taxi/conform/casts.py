"""SQL that turns a column of a raw file into its declared type, or fails on a value that differs.

A value is converted only where its meaning is certain: it equals what the file holds, or the pass
ends with an error that names the column and the value. NaN and its spellings are missing values:
null, and counted. An infinite amount is kept as published, and counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from nyc_taxi.errors import SchemaMismatchError
from nyc_taxi.storage.duckdb_engine import Database, literal, quoted
from nyc_taxi.trips.schemas import INTEGER_TYPES, Column, Type

_SMALL_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT", "UINTEGER")
_LARGE_WHOLE = ("UBIGINT", "HUGEINT", "UHUGEINT", "BIGNUM")
_MOMENTS = ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS")
_ZONED = ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ", "TIMESTAMPTZ_NS")
_MISSING = r"(?i)[+-]?nan|<na>|nat|na|none|null|\\n"
"""How pandas, R, Spark and database dumps spell a missing value."""
_INFINITE = r"(?i)[+-]?inf(inity)?"
_USUAL: dict[str, str] = {
    **dict.fromkeys(INTEGER_TYPES, r"[0-9]{1,18}"),
    "DOUBLE": r"-?([0-9]{1,15}(\.[0-9]+)?|\.[0-9]+)",
    "TIMESTAMP": r"[12][0-9]{3}-[0-9]{2}-[0-9]{2} ([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]",
    "VARCHAR": r"[A-Z]*[0-9]+",
}
"""Texts that need no second look, for speed: nearly all that the TLC writes."""
_INTEGER = r"[+-]?([0-9]+(\.0*)?|\.0+)"
_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
_SCIENTIFIC = r"[+-]?[0-9](\.[0-9]{1,14})?[eE][+-]?[0-9]{1,2}"
"""At most 15 significant digits: no two such numbers are one DOUBLE."""
_CLOCK = r"([01]?[0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6}0*)?)?"
_ISO_TIME = rf"[0-9]{{4}}[-/][0-9]{{1,2}}[-/][0-9]{{1,2}}([ T]{_CLOCK})?"
_US_TIME = r"[0-9]{1,2}/[0-9]{1,2}/[0-9]{4} [0-9]{1,2}:[0-9]{2}(:[0-9]{2})? [AP]M"
"""As in the exports of NYC Open Data. Without AM or PM it could be day before month."""
_US_FORMATS = "['%m/%d/%Y %I:%M:%S %p', '%m/%d/%Y %I:%M %p']"
_EXACT = 2**53
"""From here on, not every integer is a DOUBLE."""
_EXPECTED: dict[str, str] = {
    **{whole: f"which is not an integer that {whole} can hold" for whole in INTEGER_TYPES},
    "DOUBLE": "which is not a number that DOUBLE can hold",
    "TIMESTAMP": "which is not a time such as 2021-01-31 23:59:59, without a time zone",
    "VARCHAR": "which has a NUL character that PostgreSQL cannot hold",
}


@dataclass
class Counters:
    """Counts of values that one pass changes or finds odd, kept in DuckDB's sequences.

    The pass alone sees the raw values, and it is streamed: only an expression in it can count.
    """

    labels: list[str] = field(default_factory=list)

    def null(self, label: str, kind: str) -> str:
        """SQL of a null that is counted."""
        return f"CAST(CASE WHEN {self._next(label)} = 0 THEN '' END AS {kind})"

    def kept(self, label: str, value: str) -> str:
        """SQL of a value that is counted."""
        return f"CASE WHEN {self._next(label)} > 0 THEN {value} END"

    def _next(self, label: str) -> str:
        if label not in self.labels:
            self.labels.append(label)
        return f"nextval('counter_{self.labels.index(label)}')"

    def create(self, db: Database) -> None:
        for n in range(len(self.labels)):
            db.execute(f"CREATE OR REPLACE TEMP SEQUENCE counter_{n}")

    def read(self, db: Database) -> dict[str, int]:
        """What was counted, without the zeros."""
        rows = db.execute("SELECT sequence_name, last_value FROM duckdb_sequences()").fetchall()
        counts = dict(rows)
        found = {label: counts[f"counter_{n}"] for n, label in enumerate(self.labels)}
        return {label: int(count) for label, count in found.items() if count}


@dataclass(frozen=True)
class _Cast:
    name: str
    kind: str
    """The type that it makes."""
    codes: Mapping[str, str]
    bad: str
    """SQL that fails, with the name and the value."""
    counters: Counters | None

    def missing(self) -> str:
        if self.counters is None:
            return "NULL"
        label = f"missing values (NaN) in {self.name}"
        return self.counters.null(label, self.kind)

    def counted(self, what: str, value: str) -> str:
        return self.counters.kept(what, value) if self.counters else value

    def or_bad(self, tried: str, value: str) -> str:
        return f"coalesce({tried}, CASE WHEN {value} IS NOT NULL THEN {self.bad} END)"

    def usual(self, value: str) -> str:
        """A WHEN for the texts that are converted without a second look."""
        tried = self.or_bad(f"TRY_CAST({value} AS {self.kind})", value)
        return f"WHEN {_matches(value, _USUAL[self.kind])} THEN {tried}"

    def decoded(self, key: str) -> str:
        """WHENs for the texts that stand for a code."""
        return " ".join(
            f"WHEN {key} = {literal(text)} THEN CAST({literal(code)} AS {self.kind})"
            for text, code in self.codes.items()
        )

    def text_to_whole(self, value: str) -> str:
        kind, text = self.kind, f"trim({value}, ' \t\r\n')"
        number = f"TRY_CAST({text} AS DOUBLE)"
        return (
            f"CASE {self.usual(value)} WHEN {_matches(text, _INTEGER)} "
            f"THEN {self.or_bad(f'TRY_CAST({text} AS {kind})', value)} "
            f"WHEN {value} IS NULL OR {text} = '' THEN NULL {self.decoded(f'lower({text})')} "
            f"WHEN {_matches(text, _MISSING)} THEN {self.missing()} "
            f"WHEN {_matches(text, _SCIENTIFIC)} AND {number} = trunc({number}) "
            f"AND abs({number}) < 1e15 "
            f"THEN {self.or_bad(f'TRY_CAST({number} AS {kind})', value)} ELSE {self.bad} END"
        )

    def text_to_double(self, value: str) -> str:
        text = f"trim({value}, ' \t\r\n')"
        number = f"TRY_CAST({text} AS DOUBLE)"
        infinite = self.counted(f"infinite values in {self.name}", number)
        return (
            f"CASE {self.usual(value)} WHEN {_matches(text, _NUMBER)} THEN CASE "
            f"WHEN abs({number}) < {_EXACT} THEN {number} WHEN isinf({number}) THEN {self.bad} "
            # Digits are meant one by one; a number in scientific notation is rounded anyway.
            f"WHEN contains(lower({text}), 'e') OR ({_matches(text, _INTEGER)} AND "
            f"TRY_CAST({number} AS HUGEINT) = TRY_CAST({text} AS HUGEINT)) THEN {number} "
            f"ELSE {self.bad} END WHEN {value} IS NULL OR {text} = '' THEN NULL "
            f"WHEN {_matches(text, _MISSING)} THEN {self.missing()} "
            f"WHEN {_matches(text, _INFINITE)} THEN {infinite} ELSE {self.bad} END"
        )

    def text_to_timestamp(self, value: str) -> str:
        text = f"trim({value}, ' \t\r\n')"
        return (
            f"CASE {self.usual(value)} WHEN {_matches(text, _ISO_TIME)} "
            f"THEN {self.or_bad(_in_calendar(f'TRY_CAST({text} AS TIMESTAMP)'), value)} "
            f"WHEN {value} IS NULL OR {text} = '' THEN NULL "
            f"WHEN {_matches(f'upper({text})', _US_TIME)} THEN "
            f"{self.or_bad(f'try_strptime({text}, {_US_FORMATS})', value)} "
            f"WHEN {_matches(text, _MISSING)} THEN {self.missing()} ELSE {self.bad} END"
        )

    def text_to_text(self, value: str) -> str:
        key = f"lower(trim({value}, ' \t\r\n'))"
        kept, usual = value, f"WHEN {_matches(value, _USUAL['VARCHAR'])} THEN {value} "
        if self.codes:
            codes = list(dict.fromkeys(self.codes.values()))
            kept = f"CASE WHEN {key} = '' THEN {value} ELSE " + (
                self.counted(f"{self.name} other than {' or '.join(codes)}", value) + " END"
            )
            usual = f"WHEN {_matches(value, '|'.join(codes))} THEN {value} {self.decoded(key)} "
        return (
            f"CASE WHEN {value} IS NULL THEN NULL {usual}"
            f"WHEN {_matches(key, _MISSING)} THEN {self.missing()} "
            f"WHEN contains({value}, chr(0)) THEN {self.bad} ELSE {kept} END"
        )

    def number_to_text(self, value: str) -> str:
        return self.text_to_text(f"CAST({value} AS VARCHAR)")

    def float_to_text(self, value: str) -> str:
        # DuckDB writes no more than eight digits of a FLOAT.
        return self.text_to_text(f"CAST(CAST({value} AS DOUBLE) AS VARCHAR)")

    def float_to_whole(self, value: str) -> str:
        tried = f"CASE WHEN {value} = trunc({value}) THEN TRY_CAST({value} AS {self.kind}) END"
        return (
            f"CASE WHEN isnan({value}) THEN {self.missing()} ELSE {self.or_bad(tried, value)} END"
        )

    def float_to_double(self, value: str) -> str:
        number = f"CAST({value} AS DOUBLE)"
        infinite = self.counted(f"infinite values in {self.name}", number)
        return (
            f"CASE WHEN isnan({value}) THEN {self.missing()} "
            f"WHEN isinf({value}) THEN {infinite} ELSE {number} END"
        )

    def whole_to_whole(self, value: str) -> str:
        return self.or_bad(f"TRY_CAST({value} AS {self.kind})", value)

    def whole_to_double(self, value: str) -> str:
        number = f"CAST({value} AS DOUBLE)"
        return (
            f"CASE WHEN {value} BETWEEN -{_EXACT} AND {_EXACT} THEN {number} "
            f"WHEN CAST({number} AS HUGEINT) <> {value} THEN {self.bad} ELSE {number} END"
        )

    def moment_to_timestamp(self, value: str) -> str:
        return self.or_bad(_in_calendar(f"TRY_CAST({value} AS TIMESTAMP)"), value)

    def nanoseconds_to_timestamp(self, value: str) -> str:
        moment = f"TRY_CAST({value} AS TIMESTAMP)"
        exact = f"CASE WHEN CAST({moment} AS TIMESTAMP_NS) = {value} THEN {moment} END"
        return self.or_bad(_in_calendar(exact), value)

    def zoned_to_utc(self, value: str) -> str:
        return self.moment_to_timestamp(f"timezone('UTC', {value})")

    def zoned_nanoseconds_to_utc(self, value: str) -> str:
        return self.nanoseconds_to_timestamp(f"timezone('UTC', {value})")

    def day_to_day(self, value: str) -> str:
        return self.or_bad(_in_calendar(value), value)

    def nested_to_json(self, value: str) -> str:
        return f"CAST(to_json({value}) AS VARCHAR)"

    def other_to_text(self, value: str) -> str:
        text = f"CAST({value} AS VARCHAR)"
        return f"CASE WHEN contains({text}, chr(0)) THEN {self.bad} ELSE {text} END"

    def through_text_to_whole(self, value: str) -> str:
        return self.text_to_whole(f"CAST({value} AS VARCHAR)")

    def through_text_to_double(self, value: str) -> str:
        return self.text_to_double(f"CAST({value} AS VARCHAR)")

    def same(self, value: str) -> str:
        return f"CAST({value} AS {self.kind})"


_Conversion = Callable[[_Cast, str], str]
_TO_WHOLE: dict[str, _Conversion] = {
    **dict.fromkeys((*_SMALL_WHOLE, "BIGINT"), _Cast.whole_to_whole),
    **dict.fromkeys((*_LARGE_WHOLE, "DECIMAL"), _Cast.through_text_to_whole),
    **dict.fromkeys(("FLOAT", "DOUBLE"), _Cast.float_to_whole),
    "VARCHAR": _Cast.text_to_whole,
}
_CONVERSIONS: dict[Type, dict[str, _Conversion]] = {
    **dict.fromkeys(INTEGER_TYPES, _TO_WHOLE),
    "DOUBLE": {
        **dict.fromkeys(_SMALL_WHOLE, _Cast.same),
        "BIGINT": _Cast.whole_to_double,
        **dict.fromkeys((*_LARGE_WHOLE, "DECIMAL"), _Cast.through_text_to_double),
        **dict.fromkeys(("FLOAT", "DOUBLE"), _Cast.float_to_double),
        "VARCHAR": _Cast.text_to_double,
    },
    "TIMESTAMP": {
        **dict.fromkeys((*_MOMENTS, "DATE"), _Cast.moment_to_timestamp),
        "TIMESTAMP_NS": _Cast.nanoseconds_to_timestamp,
        "VARCHAR": _Cast.text_to_timestamp,
    },
    "VARCHAR": {
        **dict.fromkeys((*_SMALL_WHOLE, "BIGINT", *_LARGE_WHOLE), _Cast.number_to_text),
        **dict.fromkeys(("FLOAT", "DOUBLE"), _Cast.float_to_text),
        "DECIMAL": _Cast.number_to_text,
        "VARCHAR": _Cast.text_to_text,
    },
}
"""For each declared type, the types that a file may hold and how each is converted."""


def cast(
    column: Column,
    source: str,
    kind: str,
    file: str,
    secret: bool = False,
    counters: Counters | None = None,
) -> str:
    """SQL that turns one column of the file into the declared type, or fails on a bad value.

    The error shows the value, unless it is secret.
    """
    value, base = quoted(source), base_type(kind)
    if base == "NULL":
        return f"CAST(NULL AS {column.type})"
    if base == "BOOLEAN" and "true" in column.codes:
        value, base = f"CAST({value} AS VARCHAR)", "VARCHAR"
    conversion = _CONVERSIONS[column.type].get(base)
    if conversion is None:
        raise SchemaMismatchError(
            f"{file} holds {column.name} as {kind}, from which no {column.type} can be made"
        )
    bad = _failure(column.name, value, secret, f", {_EXPECTED[column.type]}")
    return conversion(_Cast(column.name, column.type, column.codes, bad, counters), value)


def undeclared(
    source: str,
    kind: str,
    file: str,
    wanted: Type | None = None,
    secret: bool = False,
    counters: Counters | None = None,
) -> tuple[str, str]:
    """SQL and type of a column that is kept as it is, in a type that every warehouse takes.

    The widest of its kind, since the TLC writes one and the same column in several widths; exact
    text for what none of them holds; JSON for nested values. A time with a zone becomes UTC.
    `wanted`: the type that a rule gives it instead.
    """
    name = source.strip()
    made, conversion = _undeclared(kind)
    if wanted not in (None, made, "VARCHAR") or (wanted and made == "DOUBLE"):
        column = Column(name, wanted)
        return cast(column, source, kind, file, secret, counters), wanted
    if wanted != made and conversion != _Cast.nested_to_json:
        conversion = _Cast.other_to_text if wanted else conversion
    made = wanted or made
    if base_type(kind) == "NULL":
        return f"CAST(NULL AS {made})", made
    value, expected = quoted(source), _EXPECTED.get(made, f"which {made} cannot hold")
    bad = _failure(name, value, secret, f", {expected}")
    return conversion(_Cast(name, made, {}, bad, counters), value), made


def _undeclared(kind: str) -> tuple[str, _Conversion]:
    base = base_type(kind)
    if base in (*_SMALL_WHOLE, "BIGINT"):
        return "BIGINT", _Cast.same
    if base in ("FLOAT", "DOUBLE"):
        return "DOUBLE", _Cast.float_to_double
    if found := re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", kind):
        precision, scale = int(found[1]), int(found[2])
        if scale == 0 and precision <= 18:
            return "BIGINT", _Cast.same
        return ("DOUBLE", _Cast.same) if precision <= 15 else ("VARCHAR", _Cast.same)
    if base == "TIMESTAMP_NS":
        return "TIMESTAMP", _Cast.nanoseconds_to_timestamp
    if base in _MOMENTS:
        return "TIMESTAMP", _Cast.moment_to_timestamp
    if base == "TIMESTAMPTZ_NS":
        return "TIMESTAMP", _Cast.zoned_nanoseconds_to_utc
    if base in _ZONED:
        return "TIMESTAMP", _Cast.zoned_to_utc
    if base == "DATE":
        return "DATE", _Cast.day_to_day
    if base == "BOOLEAN":
        return "BOOLEAN", _Cast.same
    if base in ("LIST", "STRUCT", "MAP", "UNION", "TUPLE", "VARIANT"):
        return "VARCHAR", _Cast.nested_to_json
    return "VARCHAR", _Cast.other_to_text


def base_type(kind: str) -> str:
    """`DECIMAL` for `DECIMAL(18,2)`, `LIST` for `INTEGER[]`, `NULL` for a column of nulls."""
    return "LIST" if kind.endswith("]") else kind.partition("(")[0].strip('" ')


def is_zoned(kind: str) -> bool:
    return base_type(kind) in _ZONED


def differ(values: Mapping[str, str], kind: Type, secret: bool) -> str:
    """SQL that is null, or fails where several sources of one column hold different values.

    `values`: the SQL of each source, of the column's type, by name.
    """
    shown = " || ' and ' || ".join(
        f"{literal(name)} || ' holds ' || " + _shown(value, secret)
        for name, value in values.items()
    )
    keys = values.values()
    if kind == "VARCHAR":
        keys = [f"nullif(trim({value}), '')" for value in values.values()]  # type: ignore[assignment]
    return (
        f"CASE WHEN least({', '.join(keys)}) <> greatest({', '.join(keys)}) "
        f"THEN error({shown} || ': two values of one column') END"
    )


def _failure(name: str, value: str, secret: bool, why: str) -> str:
    return f"error({literal(name)} || ' holds ' || {_shown(value, secret)} || {literal(why)})"


def _shown(value: str, secret: bool) -> str:
    """SQL of a value as an error shows it, on one line."""
    text = f"left(regexp_replace(CAST({value} AS VARCHAR), '[[:cntrl:]]', '?', 'g'), 80)"
    return "'a value not to be shown'" if secret else f"coalesce({text}, 'null')"


def _matches(text: str, pattern: str) -> str:
    return f"regexp_full_match({text}, {literal(pattern)})"


def _in_calendar(moment: str) -> str:
    """Null for what is infinite, or outside of the years 1 to 9999, which BigQuery ends with."""
    return (
        f"CASE WHEN {moment} BETWEEN TIMESTAMP '0001-01-01' "
        f"AND TIMESTAMP '9999-12-31 23:59:59.999999' THEN {moment} END"
    )
