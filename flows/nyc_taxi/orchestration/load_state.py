"""Version of each month's file that was last loaded, in Prefect variables."""

from prefect.variables import Variable

from nyc_taxi.trips.months import TripMonth


def is_loaded(trips: TripMonth, version: str | None, warehouse: str) -> bool:
    """Whether this version of the month's file is what was last loaded, into this warehouse."""
    return bool(Variable.get(_variable(trips)) == [warehouse, version])


def remember_loaded(trips: TripMonth, version: str | None, warehouse: str) -> None:
    """In a Prefect variable, so that it holds for every worker, wherever its files are."""
    Variable.set(_variable(trips), [warehouse, version], overwrite=True)


def _variable(trips: TripMonth) -> str:
    return f"loaded_{trips.stem}".replace("-", "_")
