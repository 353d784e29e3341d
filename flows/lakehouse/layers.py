"""Silver and gold, one batch of months after the other: the last step of several flows."""

from lakehouse.gold.flow import gold
from lakehouse.silver.flow import silver
from nyc_taxi.transform import build
from nyc_taxi.transform.metrics import LayerMetrics
from nyc_taxi.transform.plan import batches


def build_layers(
    mode: build.SilverMode = "incremental", months: list[str] | None = None, dims: bool = True
) -> list[LayerMetrics]:
    """Build and publish the months that are stale, of `months` (2021-01) alone if given.

    The dimensions are built once, with the first batch, unless `dims` is false.
    """
    stale = build.find_stale_months(build.open_dbt(), mode, months)
    metrics = []
    for number, batch in enumerate(batches(stale)):
        metrics.append(silver(mode, [f"{month.first_day:%Y-%m}" for month in batch]))
        metrics.append(gold("all" if dims and not number else "facts"))
    return metrics
