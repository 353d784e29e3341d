"""Check and read a response of Open-Meteo: the exact hours, points and units, or an error.

https://open-meteo.com/en/docs/air-quality-api#json_return_object
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from math import isfinite
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.compute as pc

from nyc_taxi.sources.file_formats import other_format, preview
from nyc_taxi.sources.open_meteo_tables import POINTS, HourlyColumn, HourlyTable

MAX_DISTANCE = 0.25
"""Degrees of latitude or longitude between a point and the center of its grid cell."""
NO_UNIT = "undefined"
"""Unit of a variable that the model does not have; all of its values are null."""
_TYPES = {"DOUBLE": pa.float64(), "BIGINT": pa.int64()}


class UnusableResponseError(Exception):
    """What is wrong with a response; the caller adds where it is from and what to do."""


class FailedResponseError(UnusableResponseError):
    """Open-Meteo sent an error, or only a part of the response. A retry may help."""


def read_response(body: bytes, table: HourlyTable, first: date, last: date) -> pa.Table:
    """Return the hours of all points, from the first day to the last one.

    Raises UnusableResponseError.
    """
    answers = _load(body)
    count = len(answers) if isinstance(answers, list) else 1
    if count != len(POINTS) or not all(isinstance(answer, dict) for answer in answers):
        raise UnusableResponseError(f"it has {count} locations instead of {len(POINTS)}")
    start = datetime.combine(first, datetime.min.time())
    days = (last - first).days + 1
    hours = [start + timedelta(hours=hour) for hour in range(24 * days)]
    return pa.concat_tables(
        _Location(name, index, answer).read(table, hours)
        for index, (name, answer) in enumerate(zip(POINTS, answers, strict=True))
    )


def error_reason(body: bytes) -> str:
    """Return the text of `{"error": true, "reason": ...}`, in one line; empty if it is not one."""
    try:
        return _reason(json.loads(body))
    except ValueError:
        return ""


def _reason(answer: Any) -> str:
    reason = answer.get("reason") if isinstance(answer, dict) else None
    return " ".join(str(reason or "").split())[:200]


def _load(body: bytes) -> Any:
    """Parse the body, with all numbers as floats. NaN, which Python would accept, is not JSON."""
    try:
        answer = json.loads(body, parse_int=float, parse_constant=_refuse_constant)
        if reason := _reason(answer):
            raise FailedResponseError(f"the error {reason!r}")
        return answer
    except ValueError as problem:
        start, end = body[:100].lstrip(), body[-200:]
        if b"Unexpected error while streaming data" in start + end:
            text = end[end.find(b"Unexpected error") :].decode(errors="replace")
            raise FailedResponseError(f"a response that ends with {text!r}") from None
        if start[:1] in (b"[", b"{"):
            if isinstance(problem, json.JSONDecodeError) and problem.pos >= len(body) - 30:
                raise FailedResponseError(
                    f"a response that ends after {len(body):,} bytes"
                ) from None
            raise UnusableResponseError(f"it is not JSON ({problem})") from None
        found = other_format(body[:1000]) or preview(body[:1000])
        raise UnusableResponseError(f"it is {found} instead of JSON") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it contains {name}")


class _Location:
    """The answer for one point."""

    def __init__(self, name: str, index: int, answer: dict[str, Any]) -> None:
        self.name, self.index, self.answer = name, index, answer

    def read(self, table: HourlyTable, hours: list[datetime]) -> pa.Table:
        self._check_place()
        found = self._section("hourly")
        self._check_hours(found.get("time"), [hour.isoformat(timespec="minutes") for hour in hours])
        columns = {
            "location": pa.array([self.name] * len(hours), pa.string()),
            "time_utc": pa.array(hours, pa.timestamp("us")),
        }
        for column in table.columns:
            columns[column.name] = self._values(column, found.get(column.name), len(hours))
        return pa.table(columns)

    def _fail(self, problem: str) -> NoReturn:
        raise UnusableResponseError(f"{problem} for {self.name}")

    def _section(self, name: str) -> dict[str, Any]:
        section = self.answer.get(name)
        return section if isinstance(section, dict) else self._fail(f"it has no {name}")

    def _check_place(self) -> None:
        """Check that the answer is for this point, in UTC. Neighboring points may share a cell."""
        place = [self.answer.get("latitude"), self.answer.get("longitude")]
        if not all(
            isinstance(degrees, float) and abs(degrees - wanted) <= MAX_DISTANCE
            for degrees, wanted in zip(place, POINTS[self.name], strict=True)
        ):
            self._fail(
                f"it has the grid cell {_shown(place)}, more than {MAX_DISTANCE} degrees from "
                f"{list(POINTS[self.name])},"
            )
        if self.answer.get("location_id", self.index) != self.index:
            self._fail(f"it has location_id {_shown(self.answer['location_id'])}")
        if self.answer.get("utc_offset_seconds") != 0:
            self._fail(
                f"it is not in UTC (offset {_shown(self.answer.get('utc_offset_seconds'))} s)"
            )

    def _check_hours(self, found: Any, wanted: list[str]) -> None:
        if found == wanted:
            return
        times = Counter(map(str, found)) if isinstance(found, list) else Counter[str]()
        for kind, hours in (
            ("lacks hours", [hour for hour in wanted if hour not in times]),
            ("has hours that were not asked for", sorted(times.keys() - set(wanted))),
            ("repeats hours", [hour for hour, count in times.items() if count > 1]),
        ):
            if hours:
                self._fail(f"it {kind} ({_some(hours)})")
        self._fail("its hours are not in order")

    def _values(self, column: HourlyColumn, found: Any, length: int) -> pa.Array:
        """Return the values of a column as its type; nulls stay."""
        if not isinstance(found, list) or len(found) != length:
            count = len(found) if isinstance(found, list) else "no"
            self._fail(f"it has {count} values of {column.name} instead of {length}")
        if any(isinstance(value, bool) for value in found):
            self._fail(f"it has true or false as {column.name}")
        try:
            values = pa.array(found, pa.float64())
            finite = pc.all(pc.is_finite(values)).as_py() in (True, None)
            typed = values.cast(_TYPES[column.type]) if finite else None
        except (pa.ArrowException, TypeError):
            typed = None
        if typed is None:
            self._fail(f"it has {_first_invalid(column, found)} as {column.name}")
        unit = self._section("hourly_units").get(column.name)
        if not _same(unit, column.unit) and not (
            unit == NO_UNIT and typed.null_count == len(typed)
        ):
            self._fail(f"it has {column.name} in {_shown(unit)} instead of {column.unit!r}")
        return typed


def _shown(value: Any) -> str:
    return repr(value)[:40]


def _some(texts: list[str]) -> str:
    more = f" and {len(texts) - 1} more" if len(texts) > 1 else ""
    return f"{_shown(texts[0])[1:-1]}{more}"


def _first_invalid(column: HourlyColumn, values: Iterable[Any]) -> str:
    """Return the first value that is not a number of the column's type, for a message."""
    for value in values:
        number = isinstance(value, float) and isfinite(value)
        if value is not None and not (number and (column.type == "DOUBLE" or value.is_integer())):
            return _shown(value)
    return "a value that does not fit"


def _same(unit: Any, wanted: str) -> bool:
    """Compare units; the micro sign and the Greek letter mu are the same."""
    return unicodedata.normalize("NFKC", str(unit)) == unicodedata.normalize("NFKC", wanted)
