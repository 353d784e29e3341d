"""Every declared column has a meaning and, where it measures something, a unit."""

import pytest

from nyc_taxi.trips.descriptions import CODES, DESCRIPTIONS, UNITS
from nyc_taxi.trips.schemas import SERVICES, Column

COLUMNS = {c.name: c for service in SERVICES.values() for c in service.columns}


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS)
def test_column_has_a_description(column: Column) -> None:
    assert column.description.endswith(".")


@pytest.mark.parametrize(
    "column",
    [c for c in COLUMNS.values() if c.type in ("DOUBLE", "TIMESTAMP")],
    ids=lambda c: c.name,
)
def test_measured_column_has_a_unit(column: Column) -> None:
    assert column.unit


def test_descriptions_name_declared_columns_only() -> None:
    assert not {*DESCRIPTIONS, *UNITS, *CODES} - {*COLUMNS, "trip_month"}


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS)
def test_codes_of_older_files_have_a_name(column: Column) -> None:
    if names := column.code_names:
        assert {int(code) for code in column.codes.values()} <= set(names)
