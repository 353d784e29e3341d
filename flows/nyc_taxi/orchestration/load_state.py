"""The last loaded version of each month, stored in Prefect variables.

Variables live on the server, so every worker sees the same state.
"""

from prefect.variables import Variable

from nyc_taxi.trips.months import TripMonth


def is_loaded(trips: TripMonth, version: str | None, warehouse: str) -> bool:
    """Return whether this version of the month was the last one loaded into this warehouse."""
    return bool(Variable.get(_variable(trips)) == [warehouse, version])


def remember_loaded(trips: TripMonth, version: str | None, warehouse: str) -> None:
    Variable.set(_variable(trips), [warehouse, version], overwrite=True)


def _variable(trips: TripMonth) -> str:
    return f"loaded_{trips.stem}".replace("-", "_")
