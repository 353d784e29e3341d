"""SQL expressions that cast the values of a column, or fail on a value that does not fit.

A value is cast only if the result equals what the file contains. Otherwise the pass fails with an
error that names the column and the value. NaN and other spellings of a missing value become null
and are counted. An infinite amount is kept and counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nyc_taxi.conform.counters import Counters
from nyc_taxi.storage.duckdb_engine import literal
from nyc_taxi.trips.schemas import INTEGER_TYPES

_MISSING = r"(?i)[+-]?nan|<na>|nat|na|none|null|\\n"
"""Missing values as written by pandas, R, Spark and database dumps."""
_INFINITE = r"(?i)[+-]?inf(inity)?"
_COMMON: dict[str, str] = {
    **dict.fromkeys(INTEGER_TYPES, r"[0-9]{1,18}"),
    "DOUBLE": r"-?([0-9]{1,15}(\.[0-9]+)?|\.[0-9]+)",
    "TIMESTAMP": r"[12][0-9]{3}-[0-9]{2}-[0-9]{2} ([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]",
    "VARCHAR": r"[A-Z]*[0-9]+",
}
"""Texts that are cast directly, for speed: nearly all that the TLC writes."""
_INTEGER = r"[+-]?([0-9]+(\.0*)?|\.0+)"
_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
_SCIENTIFIC = r"[+-]?[0-9](\.[0-9]{1,14})?[eE][+-]?[0-9]{1,2}"
"""At most 15 significant digits, so that two different numbers are never the same DOUBLE."""
_TIME_OF_DAY = r"([01]?[0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6}0*)?)?"
_ISO_TIMESTAMP = rf"[0-9]{{4}}[-/][0-9]{{1,2}}[-/][0-9]{{1,2}}([ T]{_TIME_OF_DAY})?"
_US_TIMESTAMP = r"[0-9]{1,2}/[0-9]{1,2}/[0-9]{4} [0-9]{1,2}:[0-9]{2}(:[0-9]{2})? [AP]M"
"""As in the exports of NYC Open Data. Without AM or PM, the day might precede the month."""
_US_FORMATS = "['%m/%d/%Y %I:%M:%S %p', '%m/%d/%Y %I:%M %p']"
_EXACT_LIMIT = 2**53
"""From here on, DOUBLE does not represent every integer."""


@dataclass(frozen=True)
class CastSql:
    """SQL expressions that cast one column to `kind`, one method per type in the file."""

    name: str
    kind: str
    codes: Mapping[str, str]
    failure: str
    """SQL that fails with the column's name and the value."""
    counters: Counters | None

    def missing(self) -> str:
        """Return SQL of the null that replaces a missing value; it is counted."""
        if self.counters is None:
            return "NULL"
        label = f"missing values (NaN) in {self.name}"
        return self.counters.counted_null(label, self.kind)

    def counted(self, label: str, value: str) -> str:
        return self.counters.counted_value(label, value) if self.counters else value

    def or_fail(self, result: str, value: str) -> str:
        """Return SQL of the result, which fails if it is null and the value is not."""
        return f"coalesce({result}, CASE WHEN {value} IS NOT NULL THEN {self.failure} END)"

    def common(self, value: str) -> str:
        """Return a WHEN that casts the most common texts directly, for speed."""
        result = self.or_fail(f"TRY_CAST({value} AS {self.kind})", value)
        return f"WHEN {_matches(value, _COMMON[self.kind])} THEN {result}"

    def decoded(self, key: str) -> str:
        """Return a WHEN for each text that stands for a code."""
        return " ".join(
            f"WHEN {key} = {literal(text)} THEN CAST({literal(code)} AS {self.kind})"
            for text, code in self.codes.items()
        )

    def text_to_integer(self, value: str) -> str:
        kind, text = self.kind, f"trim({value}, ' \t\r\n')"
        number = f"TRY_CAST({text} AS DOUBLE)"
        return (
            f"CASE {self.common(value)} WHEN {_matches(text, _INTEGER)} "
            f"THEN {self.or_fail(f'TRY_CAST({text} AS {kind})', value)} "
            f"WHEN {value} IS NULL OR {text} = '' THEN NULL {self.decoded(f'lower({text})')} "
            f"WHEN {_matches(text, _MISSING)} THEN {self.missing()} "
            f"WHEN {_matches(text, _SCIENTIFIC)} AND {number} = trunc({number}) "
            f"AND abs({number}) < 1e15 "
            f"THEN {self.or_fail(f'TRY_CAST({number} AS {kind})', value)} ELSE {self.failure} END"
        )

    def text_to_double(self, value: str) -> str:
        text = f"trim({value}, ' \t\r\n')"
        number = f"TRY_CAST({text} AS DOUBLE)"
        infinite = self.counted(f"infinite values in {self.name}", number)
        return (
            f"CASE {self.common(value)} WHEN {_matches(text, _NUMBER)} THEN CASE "
            f"WHEN abs({number}) < {_EXACT_LIMIT} THEN {number} "
            f"WHEN isinf({number}) THEN {self.failure} "
            # Every digit of an integer counts; a number in scientific notation is rounded anyway.
            f"WHEN contains(lower({text}), 'e') OR ({_matches(text, _INTEGER)} AND "
            f"TRY_CAST({number} AS HUGEINT) = TRY_CAST({text} AS HUGEINT)) THEN {number} "
            f"ELSE {self.failure} END WHEN {value} IS NULL OR {text} = '' THEN NULL "
            f"WHEN {_matches(text, _MISSING)} THEN {self.missing()} "
            f"WHEN {_matches(text, _INFINITE)} THEN {infinite} ELSE {self.failure} END"
        )

    def text_to_timestamp(self, value: str) -> str:
        text = f"trim({value}, ' \t\r\n')"
        return (
            f"CASE {self.common(value)} WHEN {_matches(text, _ISO_TIMESTAMP)} "
            f"THEN {self.or_fail(_in_calendar(f'TRY_CAST({text} AS TIMESTAMP)'), value)} "
            f"WHEN {value} IS NULL OR {text} = '' THEN NULL "
            f"WHEN {_matches(f'upper({text})', _US_TIMESTAMP)} THEN "
            f"{self.or_fail(f'try_strptime({text}, {_US_FORMATS})', value)} "
            f"WHEN {_matches(text, _MISSING)} THEN {self.missing()} ELSE {self.failure} END"
        )

    def text_to_text(self, value: str) -> str:
        key = f"lower(trim({value}, ' \t\r\n'))"
        kept, shortcut = value, f"WHEN {_matches(value, _COMMON['VARCHAR'])} THEN {value} "
        if self.codes:
            codes = list(dict.fromkeys(self.codes.values()))
            kept = f"CASE WHEN {key} = '' THEN {value} ELSE " + (
                self.counted(f"{self.name} other than {' or '.join(codes)}", value) + " END"
            )
            shortcut = f"WHEN {_matches(value, '|'.join(codes))} THEN {value} {self.decoded(key)} "
        return (
            f"CASE WHEN {value} IS NULL THEN NULL {shortcut}"
            f"WHEN {_matches(key, _MISSING)} THEN {self.missing()} "
            f"WHEN contains({value}, chr(0)) THEN {self.failure} ELSE {kept} END"
        )

    def number_to_text(self, value: str) -> str:
        return self.text_to_text(f"CAST({value} AS VARCHAR)")

    def float_to_text(self, value: str) -> str:
        # DuckDB writes at most eight digits of a FLOAT.
        return self.text_to_text(f"CAST(CAST({value} AS DOUBLE) AS VARCHAR)")

    def float_to_integer(self, value: str) -> str:
        result = f"CASE WHEN {value} = trunc({value}) THEN TRY_CAST({value} AS {self.kind}) END"
        return (
            f"CASE WHEN isnan({value}) THEN {self.missing()} ELSE {self.or_fail(result, value)} END"
        )

    def float_to_double(self, value: str) -> str:
        number = f"CAST({value} AS DOUBLE)"
        infinite = self.counted(f"infinite values in {self.name}", number)
        return (
            f"CASE WHEN isnan({value}) THEN {self.missing()} "
            f"WHEN isinf({value}) THEN {infinite} ELSE {number} END"
        )

    def integer_to_integer(self, value: str) -> str:
        return self.or_fail(f"TRY_CAST({value} AS {self.kind})", value)

    def integer_to_double(self, value: str) -> str:
        number = f"CAST({value} AS DOUBLE)"
        return (
            f"CASE WHEN {value} BETWEEN -{_EXACT_LIMIT} AND {_EXACT_LIMIT} THEN {number} "
            f"WHEN CAST({number} AS HUGEINT) <> {value} THEN {self.failure} ELSE {number} END"
        )

    def timestamp_to_timestamp(self, value: str) -> str:
        return self.or_fail(_in_calendar(f"TRY_CAST({value} AS TIMESTAMP)"), value)

    def nanoseconds_to_timestamp(self, value: str) -> str:
        timestamp = f"TRY_CAST({value} AS TIMESTAMP)"
        exact = f"CASE WHEN CAST({timestamp} AS TIMESTAMP_NS) = {value} THEN {timestamp} END"
        return self.or_fail(_in_calendar(exact), value)

    def zoned_to_utc(self, value: str) -> str:
        return self.timestamp_to_timestamp(f"timezone('UTC', {value})")

    def zoned_nanoseconds_to_utc(self, value: str) -> str:
        return self.nanoseconds_to_timestamp(f"timezone('UTC', {value})")

    def date_to_date(self, value: str) -> str:
        return self.or_fail(_in_calendar(value), value)

    def nested_to_json(self, value: str) -> str:
        return f"CAST(to_json({value}) AS VARCHAR)"

    def other_to_text(self, value: str) -> str:
        text = f"CAST({value} AS VARCHAR)"
        return f"CASE WHEN contains({text}, chr(0)) THEN {self.failure} ELSE {text} END"

    def decimal_to_integer(self, value: str) -> str:
        return self.text_to_integer(f"CAST({value} AS VARCHAR)")

    def decimal_to_double(self, value: str) -> str:
        return self.text_to_double(f"CAST({value} AS VARCHAR)")

    def plain_cast(self, value: str) -> str:
        return f"CAST({value} AS {self.kind})"


def _matches(text: str, pattern: str) -> str:
    return f"regexp_full_match({text}, {literal(pattern)})"


def _in_calendar(timestamp: str) -> str:
    """Return SQL of the timestamp; null if infinite or outside of BigQuery's years 1 to 9999."""
    return (
        f"CASE WHEN {timestamp} BETWEEN TIMESTAMP '0001-01-01' "
        f"AND TIMESTAMP '9999-12-31 23:59:59.999999' THEN {timestamp} END"
    )
