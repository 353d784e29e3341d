"""The lookup and the shapes of the zones, and the one table that is made of both.

The shapes are in feet of New York's State Plane; here they are WGS 84 degrees, as maps want them.
"""

from __future__ import annotations

import csv
import struct
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path

import duckdb
import pyarrow as pa
import shapefile
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError

from nyc_taxi.engine import literal, open_duckdb
from nyc_taxi.errors import Damaged
from nyc_taxi.files import replacing, writing
from nyc_taxi.raw import explained
from nyc_taxi.rules import Rules, prepare

TABLE = "zones"
LOOKUP = ["LocationID", "Borough", "Zone", "service_zone"]
SCHEMA = pa.schema(
    [
        ("LocationID", pa.int64()),
        ("Borough", pa.string()),
        ("Zone", pa.string()),
        ("service_zone", pa.string()),
        ("geometry", pa.string()),
        ("longitude", pa.float64()),
        ("latitude", pa.float64()),
        ("area_km2", pa.float64()),
    ]
)
DIGITS = 7
"""Of a degree: about a centimetre."""
UNREADABLE = (
    *(OSError, zipfile.BadZipFile, struct.error, CRSError),
    *(shapefile.ShapefileException, shapefile.PossiblyCorruptFileHeader),
    *(StopIteration, KeyError, ValueError, TypeError, IndexError),
)
"""What the readers raise at a file that is something else, or cut off."""
AGAIN = "look at what the source serves for it (NYC_TAXI_SOURCE_URL)"

Point = tuple[float, float]
Ring = list[Point]
"""Ends where it begins."""
Polygon = list[Ring]
"""The outer ring, then its holes."""


@dataclass(frozen=True)
class Shape:
    geometry: str
    """WKT of a MULTIPOLYGON in degrees; outer rings run counter-clockwise, holes clockwise."""
    inside: Point
    """A point of the shape, which the centre of a crescent is not: longitude and latitude."""
    area: float
    """Square kilometres."""


def read_lookup(path: Path) -> list[dict[str, str]]:
    """The rows of the lookup; its "N/A" is a text, not a null."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            names, rows = list(reader.fieldnames or ()), list(reader)
    except (csv.Error, UnicodeDecodeError) as problem:
        raise Damaged(f"{path.name} is no zone lookup ({problem}); {AGAIN}") from problem
    if names != LOOKUP:
        raise Damaged(
            f"{path.name} is no zone lookup: it begins with {', '.join(names)[:80]!r}, "
            f"not with {', '.join(LOOKUP)}; {AGAIN}"
        )
    ids = [row["LocationID"] for row in rows]
    if not ids or len(set(ids)) < len(ids) or not all(map(str.isdecimal, ids)):
        raise Damaged(f"{path.name} does not hold each zone once, by a whole number; {AGAIN}")
    return rows


def read_shapes(path: Path) -> dict[int, Shape]:
    """The shapes by LocationID. Several records may carry one id: they are one shape together."""
    polygons: dict[int, list[Polygon]] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            name = next(name for name in archive.namelist() if name.endswith(".prj"))
            projection = CRS.from_wkt(archive.read(name).decode())
        with warnings.catch_warnings(), shapefile.Reader(str(path)) as records:
            warnings.simplefilter("error", shapefile.PossiblyCorruptFileHeader)
            for record in records.iterShapeRecords():
                found = polygons.setdefault(int(record.record["LocationID"]), [])
                found += _polygons(record.shape.__geo_interface__)
        if not polygons:
            raise ValueError("no records")
    except UNREADABLE as problem:
        raise Damaged(f"{path.name} is no zip of zone shapes ({problem!r}); {AGAIN}") from problem
    meters = projection.axis_info[0].unit_conversion_factor
    to_degrees = Transformer.from_crs(projection, "EPSG:4326", always_xy=True)
    return {id: _shape(found, to_degrees, meters) for id, found in polygons.items() if found}


def _polygons(geometry: shapefile.GeoJSONHomogeneousGeometryObject) -> list[Polygon]:
    coordinates = geometry["coordinates"]
    return [coordinates] if geometry["type"] == "Polygon" and coordinates else list(coordinates)


def _shape(polygons: list[Polygon], to_degrees: Transformer, meters: float) -> Shape:
    """`meters`: those of the unit that the polygons are in."""
    area = sum(
        abs(signed_area(ring)) * (1 if n == 0 else -1)
        for rings in polygons
        for n, ring in enumerate(rings)
    )
    longitude, latitude = to_degrees.transform(*point_inside(polygons))
    texts = (
        ", ".join(f"({_wkt(ring, to_degrees, hole=n > 0)})" for n, ring in enumerate(rings))
        for rings in polygons
    )
    return Shape(
        f"MULTIPOLYGON ({', '.join(f'({text})' for text in texts)})",
        (round(longitude, DIGITS), round(latitude, DIGITS)),
        round(area * meters**2 / 1e6, 6),
    )


def _wkt(ring: Ring, to_degrees: Transformer, hole: bool) -> str:
    if (signed_area(ring) < 0) != hole:
        ring = ring[::-1]
    longitudes, latitudes = to_degrees.transform([x for x, _ in ring], [y for _, y in ring])
    points = zip(longitudes, latitudes, strict=True)
    texts = (f"{x:.{DIGITS}f} {y:.{DIGITS}f}" for x, y in points)
    # Two points that round to one would be an edge without length.
    return ", ".join(text for text, _ in groupby(texts))


def signed_area(ring: Ring) -> float:
    """Positive where the ring runs counter-clockwise."""
    x0, y0 = ring[0]  # near by, so that little is lost in the last digits
    return sum((a - x0) * (d - y0) - (c - x0) * (b - y0) for (a, b), (c, d) in pairwise(ring)) / 2


def point_inside(polygons: list[Polygon]) -> Point:
    """The middle of the widest stretch of the largest polygon, at half its height."""
    largest = max(polygons, key=lambda rings: abs(signed_area(rings[0])))
    heights = [y for _, y in largest[0]]
    middle = (min(heights) + max(heights)) / 2
    crossings = sorted(_crossings(largest, middle))
    left, right = max(
        zip(crossings[::2], crossings[1::2], strict=True), key=lambda pair: pair[1] - pair[0]
    )
    return (left + right) / 2, middle


def _crossings(rings: Polygon, height: float) -> Iterator[float]:
    """Where the rings cross a height; they do so an even number of times."""
    for ring in rings:
        for (a, b), (c, d) in pairwise(ring):
            if (b <= height) != (d <= height):
                yield a + (height - b) * (c - a) / (d - b)


def write_zones(
    lookup: list[dict[str, str]], shapes: dict[int, Shape], rules: Rules, target: Path
) -> Path:
    """A row for each zone of the lookup, by its id, as the rules want it; Parquet."""
    strangers = shapes.keys() - {int(row["LocationID"]) for row in lookup}
    if strangers:
        raise Damaged(f"shapes of zones that the lookup has not: {sorted(strangers)}; {AGAIN}")
    lookup = sorted(lookup, key=lambda row: int(row["LocationID"]))
    rows = pa.Table.from_pylist([_row(row, shapes) for row in lookup], SCHEMA)
    with open_duckdb() as db, replacing(target) as part, writing(target):
        db.register("rows", rows)
        prepare(db)
        columns = [(name, kind) for name, kind, *_ in db.execute("DESCRIBE rows").fetchall()]
        select, _ = rules.of_tables([TABLE]).follow(TABLE, columns, "the table of zones")
        try:
            db.execute(f"COPY (SELECT {select} FROM rows) TO {literal(part)} (FORMAT parquet)")
        except duckdb.InvalidInputException as problem:
            raise explained(problem, Path(TABLE)) from problem
    return target


def _row(row: dict[str, str], shapes: dict[int, Shape]) -> dict[str, str | int | float | None]:
    id = int(row["LocationID"])
    found: dict[str, str | int | float | None] = {**row, "LocationID": id}
    if shape := shapes.get(id):
        found["longitude"], found["latitude"] = shape.inside
        found["geometry"], found["area_km2"] = shape.geometry, shape.area
    return found
