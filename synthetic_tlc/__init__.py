"""Synthetic TLC data: generated months in the published schemas of every era, and a local site.

Generate with `python -m synthetic_tlc make data/tlc yellow:2021-01 green:2021-01` and serve with
`python -m synthetic_tlc serve data/tlc`; the months are then at `http://127.0.0.1:8009/trip-data`.
`OpenMeteo` stands in for the APIs of air quality and weather.
"""

from synthetic_tlc.months import write_month
from synthetic_tlc.open_meteo import OpenMeteo
from synthetic_tlc.site import Site
from synthetic_tlc.zones import write_zones

__all__ = ["OpenMeteo", "Site", "write_month", "write_zones"]
