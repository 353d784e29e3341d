"""The counts that the course logs before and after its transform."""

from prefect import get_run_logger


def log_before_and_after(quantity: str, before: int, after: int) -> None:
    """Log a count of trips before (`pre`) and after (`post`) the course's transform."""
    for when, trips in (("pre", before), ("post", after)):
        get_run_logger().info("%s: %s: %s", when, quantity, trips)
