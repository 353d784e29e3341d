"""Log lines that several flows share."""

from prefect import get_run_logger


def log_missing_passengers(before: int, after: int, condition: str) -> None:
    """Log the trips without a passenger count before and after the transform."""
    line = "%s: missing passenger count: %s (%s)"
    get_run_logger().info(line, "pre", before, condition)
    get_run_logger().info(line, "post", after, condition)
