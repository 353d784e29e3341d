"""A stand-in for the TLC's trip-data site: its months in every era's form, and its server.

Made with `python -m mirror make data/tlc yellow:2021-01 green:2021-01` and served with
`python -m mirror serve data/tlc`; the months are then at `http://127.0.0.1:8009/trip-data`.
"""

from mirror.months import write_month
from mirror.site import Site
from mirror.zones import write_zones

__all__ = ["Site", "write_month", "write_zones"]
