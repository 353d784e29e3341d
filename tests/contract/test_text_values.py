"""Values written as text: cast to their type unchanged, or rejected in one line."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from nyc_taxi.errors import InvalidInputError
from nyc_taxi.trips.months import parse_integer
from tests.support.raw_files import conformed, rejection


class TestTexts:
    @pytest.mark.few(8)
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            *[("9007199254740993", 9007199254740993), ("9223372036854775807", 2**63 - 1)],
            *[
                (" 7 ", 7),
                ("7.0", 7),
                ("7.", 7),
                ("+7", 7),
                ("-0", 0),
                ("007", 7),
                ("1e+05", 10**5),
            ],
            *[("nan", None), ("NaN", None), ("<NA>", None), ("None", None), ("null", None)],
            *[("\\N", None), ("", None), ("  ", None), ("NA", None)],
        ],
    )
    def test_text_is_cast_to_integer(self, tmp_path: Path, text: str, value: int | None) -> None:
        assert conformed(tmp_path, {"trip_type": [text, "1"]})["trip_type"] == [value, 1]

    @pytest.mark.few(5)
    @pytest.mark.parametrize(
        "text",
        [
            *["1_000", "0x10", "0b1", "1,000", "1 000", "\uff11", "1.5", "92233720368547758080"],
            *["7f", "$7", "7;", "--7", "inf", "9007199254740993e0", "true", "1.0.0", "1e30"],
        ],
    )  # fmt: skip
    def test_text_that_is_not_an_integer_is_rejected(self, tmp_path: Path, text: str) -> None:
        assert "trip_type holds " in rejection(tmp_path, {"trip_type": [text, "1"]})

    @pytest.mark.few(5)
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            *[
                (".5", 0.5),
                ("5.", 5.0),
                ("-2.50", -2.5),
                ("1e3", 1000.0),
                ("8.9000000000000004", 8.9),
            ],
            *[("9007199254740992", 2.0**53), ("NAN", None), ("-nan", None), ("inf", float("inf"))],
        ],
    )
    def test_text_is_cast_to_double(self, tmp_path: Path, text: str, value: float | None) -> None:
        assert conformed(tmp_path, {"tip_amount": [text, "1"]})["tip_amount"] == [value, 1.0]

    @pytest.mark.few(3)
    @pytest.mark.parametrize(
        "text",
        [
            "1_000",
            "0x10",
            "1,000.00",
            "$5.00",
            "5 USD",
            "9007199254740993",
            "1e400",
            "(5.00)",
            "5-",
        ],
    )
    def test_text_that_is_not_an_amount_is_rejected(self, tmp_path: Path, text: str) -> None:
        assert "tip_amount holds " in rejection(tmp_path, {"tip_amount": [text, "1"]})

    @pytest.mark.few(4)
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("2019-01-31 12:05:00", (2019, 1, 31, 12, 5)),
            ("2019-01-31T12:05:00", (2019, 1, 31, 12, 5)),
            ("2019-01-31 12:05", (2019, 1, 31, 12, 5)),
            ("2019-01-31 12:05:00.250000000", (2019, 1, 31, 12, 5, 0, 250000)),
            ("2019/1/31 0:05", (2019, 1, 31, 0, 5)),
            ("2019-01-31", (2019, 1, 31)),
            ("01/31/2019 12:05:00 AM", (2019, 1, 31, 0, 5)),
            ("01/31/2019 12:05:00 PM", (2019, 1, 31, 12, 5)),
            ("1/2/2019 1:05 pm", (2019, 1, 2, 13, 5)),
        ],
    )
    def test_text_is_cast_to_timestamp(
        self, tmp_path: Path, text: str, value: tuple[int, ...]
    ) -> None:
        columns = {"lpep_pickup_datetime": [text, "NaT"]}
        times = conformed(tmp_path, columns)["lpep_pickup_datetime"]
        assert times == [datetime.datetime(*value), None]  # type: ignore[arg-type]

    @pytest.mark.few(6)
    @pytest.mark.parametrize(
        "text",
        [
            *["1/2/19 10:00", "1/2/2019 10:00", "31/01/2019 10:00:00", "13/31/2019 10:00:00 AM"],
            *["2019-01-31T05:00:00Z", "2019-01-31 05:00:00+00:00", "2019-01-31 05:00:00 UTC"],
            *["infinity", "-infinity", "epoch", "now", "today", "0044-03-15 (BC) 10:00:00"],
            *["2019-01-31 24:00:00", "2019-01-31 10:00:60", "2019-02-30 10:00:00", "20190131"],
            *["2019-01-31 10:00:00.1234567", "0000-01-01 00:00:00", "10000-01-01", "43496.42"],
            *["01/31/2019 13:05:00 AM", "1548929100", "Jan 31 2019", "2019-01-31 10"],
        ],
    )
    def test_text_that_is_not_a_timestamp_is_rejected(self, tmp_path: Path, text: str) -> None:
        message = rejection(tmp_path, {"lpep_pickup_datetime": [text, "2021-01-01"]})
        assert f"lpep_pickup_datetime holds {text}" in message

    def test_error_shows_the_value_on_one_short_line(self, tmp_path: Path) -> None:
        message = rejection(tmp_path, {"trip_type": ["a\nb\0" + "c" * 1000, "1"]})
        assert "trip_type holds a?b?c" in message
        assert len(message) < 300

    def test_nul_character_is_rejected(self, tmp_path: Path) -> None:
        """PostgreSQL cannot store it, which failed only after the lake was written."""
        for column in ("store_and_fwd_flag", "note"):
            message = rejection(tmp_path, {column: ["a\0b", "N"]})
            assert f"{column} holds a?b, which contains a NUL character" in message


@pytest.mark.parametrize("text", ["1_0", "\u0661", "2021.0", "9" * 5000, "", "1 2", "0x7e5"])
def test_parse_integer_rejects_invalid_text(text: str) -> None:
    with pytest.raises(InvalidInputError, match="is not an integer") as problem:
        parse_integer(text)
    assert len(str(problem.value)) < 200
