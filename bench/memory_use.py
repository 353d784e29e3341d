"""Resident memory of this process."""

import psutil


def resident() -> float:
    """Return MB."""
    return float(psutil.Process().memory_info().rss) / 1e6
