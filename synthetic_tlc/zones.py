"""Synthetic taxi zones, in the formats of `misc/taxi_zone_lookup.csv` and `taxi_zones.zip`."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pyproj
import shapefile

KNOWN = {
    1: ("EWR", "Newark Airport", "EWR"),
    56: ("Queens", "Corona", "Boro Zone"),
    57: ("Queens", "Corona", "Boro Zone"),
    103: ("Manhattan", "Governor's Island/Ellis Island/Liberty Island", "Yellow Zone"),
    104: ("Manhattan", "Governor's Island/Ellis Island/Liberty Island", "Yellow Zone"),
    105: ("Manhattan", "Governor's Island/Ellis Island/Liberty Island", "Yellow Zone"),
    132: ("Queens", "JFK Airport", "Airports"),
    138: ("Queens", "LaGuardia Airport", "Airports"),
    161: ("Manhattan", "Midtown Center", "Yellow Zone"),
    236: ("Manhattan", "Upper East Side North", "Yellow Zone"),
    237: ("Manhattan", "Upper East Side South", "Yellow Zone"),
    264: ("Unknown", "N/A", "N/A"),
    265: ("N/A", "Outside of NYC", "N/A"),
}
NEIGHBORHOODS = {  # synthetic names for the other ids, in rotation
    "Queens": ["Astoria", "Bayside", "Elmhurst", "Flushing", "Jamaica", "Maspeth", "Woodside"],
    "Brooklyn": ["Bushwick", "Canarsie", "Flatbush", "Gowanus", "Red Hook", "Sunset Park"],
    "Manhattan": ["Chelsea", "Gramercy", "Harlem", "Kips Bay", "SoHo", "Tribeca", "Yorkville"],
    "Bronx": ["Belmont", "Fordham", "Mott Haven", "Pelham Bay", "Soundview", "Van Nest"],
    "Staten Island": [
        "Arden Heights",
        "Charleston",
        "Oakwood",
        "Stapleton",
        "Tottenville",
        "Westerleigh",
    ],
}
QUARTERS = ["", " North", " South", " East", " West", "/Center", " Heights", "/Park", " Hill"]


DRAWN_AS = {57: 56, 104: 103, 105: 103}
"""Wrong ids in the TLC's shapes: some ids have several records, others have none."""
CORNER, STEP, SIDE = (920_000, 125_000), 8_000, 7_000
"""Lower-left corner, distance and side length of the squares, in feet (EPSG:2263)."""


def write_zones(folder: Path) -> Path:
    """Write both files; returns the path of the lookup.

    As published, 264 and 265 have the text "N/A" and no shape, and two zone names repeat.
    """
    zones = list(_zones())
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "taxi_zone_lookup.csv"
    lines = ['"LocationID","Borough","Zone","service_zone"']
    lines += ['{},"{}","{}","{}"'.format(*zone) for zone in zones]
    path.write_bytes("".join(line + "\r\n" for line in lines).encode())
    _write_shapes(folder / "taxi_zones.zip", zones)
    return path


def _zones() -> Iterator[tuple[int, str, str, str]]:
    boroughs = list(NEIGHBORHOODS)
    for id in range(1, 266):
        turn, index = divmod(id, len(boroughs))
        borough = boroughs[index]
        quarter, name = divmod(turn, len(NEIGHBORHOODS[borough]))
        service = "Yellow Zone" if borough == "Manhattan" else "Boro Zone"
        synthetic = (
            borough,
            NEIGHBORHOODS[borough][name] + QUARTERS[quarter % len(QUARTERS)],
            service,
        )
        yield id, *KNOWN.get(id, synthetic)


def _write_shapes(path: Path, zones: list[tuple[int, str, str, str]]) -> None:
    """Write a square per zone, in rows of 17; the one of JFK Airport has a hole."""
    files = {ending: io.BytesIO() for ending in ("shp", "shx", "dbf")}
    with shapefile.Writer(**files, shapeType=shapefile.POLYGON) as shapes:
        shapes.field("OBJECTID", "N", 9)
        shapes.field("zone", "C", 254)
        shapes.field("LocationID", "N", 4)
        shapes.field("borough", "C", 254)
        for id, borough, zone, _ in zones[:263]:
            row, column = divmod(id - 1, 17)
            x, y = CORNER[0] + column * STEP, CORNER[1] + row * STEP
            rings = [_square(x, y, SIDE)]
            if id == 132:
                rings.append(_square(x + 1000, y + 1000, SIDE - 2000)[::-1])
            shapes.poly(rings)
            shapes.record(id, zone, DRAWN_AS.get(id, id), borough)
    projection = pyproj.CRS.from_epsg(2263).to_wkt("WKT1_ESRI").encode()
    contents = {**{ending: file.getvalue() for ending, file in files.items()}, "prj": projection}
    with zipfile.ZipFile(path, "w") as archive:
        for ending, content in contents.items():
            entry = zipfile.ZipInfo(
                f"taxi_zones/taxi_zones.{ending}"
            )  # fixed timestamp: deterministic bytes
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)


def _square(x: float, y: float, side: float) -> list[tuple[float, float]]:
    """Return a clockwise ring, as shapefiles require for outer rings."""
    return [(x, y), (x, y + side), (x + side, y + side), (x + side, y), (x, y)]
