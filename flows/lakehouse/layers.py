"""Silver and gold, one batch of months after the other: what several flows end with."""

from lakehouse.gold.flow import gold
from lakehouse.silver.flow import silver
from nyc_taxi.transform import build
from nyc_taxi.transform.plan import batches


def build_layers(mode: build.SilverMode = "incremental", months: list[str] | None = None) -> None:
    """Build and publish the stale months; the dimensions once. A no-op if nothing is stale.

    `months`: only these, such as 2021-01.
    """
    stale = build.find_stale_months(build.open_dbt(), mode, months)
    for number, batch in enumerate(batches(stale)):
        silver(mode, [f"{month.first_day:%Y-%m}" for month in batch])
        gold("facts" if number else "all")
