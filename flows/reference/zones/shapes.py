"""Conversion of the zone lookup and the zone shapes to one table.

The TLC's shapes are in feet of New York's State Plane; the table has WGS 84 degrees. Shapes in any
other projection that their .prj names are converted as well.
"""

from __future__ import annotations

import csv
import struct
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import shapefile
import shapely
import shapely.geometry
from pyproj import CRS, Geod, Transformer
from shapely import MultiPolygon, Polygon

from nyc_taxi.conform.column_rules import Rules
from nyc_taxi.conform.hashing import define_keyed_hash
from nyc_taxi.conform.readers import read_error
from nyc_taxi.errors import CorruptFileError
from nyc_taxi.storage.atomic_files import atomic_write, translate_os_errors
from nyc_taxi.storage.duckdb_engine import literal, open_duckdb

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
WGS84 = Geod(ellps="WGS84")
DIGITS = 7
"""Decimal digits of a degree: about one centimeter."""
UNREADABLE = (
    *(OSError, zipfile.BadZipFile, zlib.error, struct.error, RuntimeError),
    *(shapefile.ShapefileException, shapefile.GeoJSON_Error),
    *(shapefile.PossiblyCorruptFileHeader, shapely.errors.ShapelyError),
    *(StopIteration, KeyError, ValueError, TypeError, IndexError),
)
"""Errors of the readers for a truncated or foreign file; RuntimeError is from pyproj."""
NEW_YORK = (-80.0, 38.0, -70.0, 44.0)
"""West, south, east and north in degrees, with a wide margin.

Coordinates outside have swapped axes, or another projection than their .prj names.
"""
ADVICE = "check the file at NYC_TAXI_SOURCE_URL"


@dataclass(frozen=True)
class Shape:
    """Shape of one zone."""

    geometry: str
    """MULTIPOLYGON as WKT in degrees; outer rings are counter-clockwise, holes clockwise."""
    inside: tuple[float, float]
    """Longitude and latitude of a point inside; a centroid may be outside of a crescent."""
    area: float
    """Square kilometers."""


def read_lookup(path: Path) -> list[dict[str, str]]:
    """Read the lookup; "N/A" is a text, not a null. Raises CorruptFileError."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            names, rows = list(reader.fieldnames or ()), list(reader)
    except (csv.Error, UnicodeDecodeError) as problem:
        raise CorruptFileError(
            f"{path.name} is not a zone lookup ({problem}); {ADVICE}"
        ) from problem
    if names != LOOKUP:
        raise CorruptFileError(
            f"{path.name} is not a zone lookup: it starts with {', '.join(names)[:80]!r}, "
            f"not with {', '.join(LOOKUP)}; {ADVICE}"
        )
    ids = [row["LocationID"] for row in rows]
    if not ids or len(set(ids)) < len(ids) or not all(map(str.isdecimal, ids)):
        raise CorruptFileError(
            f"{path.name} must have each LocationID once, as an integer; {ADVICE}"
        )
    return rows


def read_shapes(path: Path) -> dict[int, Shape]:
    """Read the shapes by LocationID; records with the same id are combined.

    Raises CorruptFileError.
    """
    try:
        polygons, projection = _read_zip(path)
        to_degrees = Transformer.from_crs(projection, "EPSG:4326", always_xy=True)
        return {id: _shape(found, to_degrees) for id, found in polygons.items() if found}
    except UNREADABLE as problem:
        reason = " ".join(str(problem).split())[:200] or type(problem).__name__
        raise CorruptFileError(
            f"{path.name} is not a zip of zone shapes ({reason}); {ADVICE}"
        ) from problem


def _read_zip(path: Path) -> tuple[dict[int, list[Polygon]], CRS]:
    """Return the polygons of each LocationID, and their projection."""
    with zipfile.ZipFile(path) as archive:
        files = _find_zones(archive)
        if ".prj" not in files:
            raise ValueError("it has no .prj with the projection of its coordinates")
        projection = CRS.from_wkt(files[".prj"].getvalue().decode("utf-8-sig"))
        if not (projection.is_projected or projection.is_geographic):
            raise ValueError("its .prj does not name a map projection")
    polygons: dict[int, list[Polygon]] = {}
    with warnings.catch_warnings(), _reader(files) as shapes:
        warnings.simplefilter("error", shapefile.PossiblyCorruptFileHeader)
        field = _id_field(shapes)
        for record in shapes.iterShapeRecords():
            found = polygons.setdefault(int(record.record[field]), [])
            found += _polygons(record.shape)
    if not polygons:
        raise ValueError("it has no records")
    return polygons, projection


def _find_zones(archive: zipfile.ZipFile) -> dict[str, BytesIO]:
    """Return the files of the one shapefile with a LocationID, by lower-case extension.

    macOS adds metadata files such as `__MACOSX/._taxi_zones.shp` to an archive.
    """
    shapefiles: dict[str, dict[str, str]] = {}
    for name in archive.namelist():
        path = PurePosixPath(name)
        if path.parts[0] != "__MACOSX" and not path.name.startswith("._"):
            stem = str(path.with_suffix("")).lower()
            shapefiles.setdefault(stem, {})[path.suffix.lower()] = name
    found = []
    for names in shapefiles.values():
        if ".shp" in names and ".dbf" in names:
            files = {end: BytesIO(archive.read(name)) for end, name in names.items()}
            with _reader(files) as shapes:
                if _id_field(shapes):
                    found.append((names[".shp"], files))
    if len(found) != 1:
        which = ", ".join(name for name, _ in found) or "none"
        raise ValueError(f"it must have exactly one shapefile with a field LocationID: {which}")
    return found[0][1]


def _reader(files: dict[str, BytesIO]) -> shapefile.Reader:
    # Without the .shx, which is not needed and might be damaged.
    return shapefile.Reader(
        shp=BytesIO(files[".shp"].getvalue()),
        dbf=BytesIO(files[".dbf"].getvalue()),
        encodingErrors="replace",
    )


def _id_field(shapes: shapefile.Reader) -> str | None:
    """Return the name of the id field: `LocationID`, or `location_i` in NYC Open Data."""
    names = (field[0] for field in shapes.fields)
    return next((name for name in names if name.lower() in ("locationid", "location_i")), None)


def _polygons(shape: shapefile.Shape) -> list[Polygon]:
    if shape.shapeType == shapefile.NULL:
        return []
    geometry = shape.__geo_interface__
    if geometry["type"] not in ("Polygon", "MultiPolygon"):
        raise ValueError(f"its shapes are {shape.shapeTypeName}, not polygons")
    without_heights = shapely.force_2d(shapely.geometry.shape(geometry))
    return [polygon for polygon in shapely.get_parts(without_heights) if not polygon.is_empty]


def _shape(polygons: list[Polygon], to_degrees: Transformer) -> Shape:
    largest = max(polygons, key=lambda polygon: polygon.area)
    inside = _in_degrees(largest.representative_point(), to_degrees)
    degrees = shapely.orient_polygons(_in_degrees(MultiPolygon(polygons), to_degrees))
    square_meters, _ = WGS84.geometry_area_perimeter(degrees)
    if round(square_meters) <= 0:
        raise ValueError("a zone has no area, so its .prj names another projection")
    rounded = shapely.transform(degrees, partial(np.round, decimals=DIGITS))
    return Shape(
        # Two points that are equal after rounding would be an edge without length.
        shapely.to_wkt(
            shapely.remove_repeated_points(rounded), rounding_precision=DIGITS, trim=False
        ),
        (round(inside.x, DIGITS), round(inside.y, DIGITS)),
        round(square_meters / 1e6, 6),
    )


def _in_degrees(geometry: Any, to_degrees: Transformer) -> Any:
    degrees = shapely.transform(geometry, to_degrees.transform, interleaved=False)
    points = shapely.get_coordinates(degrees)
    if not ((points > NEW_YORK[:2]) & (points < NEW_YORK[2:])).all():  # nor NaN or infinity
        raise ValueError(
            "its coordinates are not near New York, so its .prj names another projection"
        )
    return degrees


def write_zones(
    lookup: list[dict[str, str]], shapes: dict[int, Shape], rules: Rules, target: Path
) -> Path:
    """Write one row per zone of the lookup, ordered by id, as Parquet; apply the rules."""
    unknown = shapes.keys() - {int(row["LocationID"]) for row in lookup}
    if unknown:
        raise CorruptFileError(
            f"the lookup lacks zones that have a shape: {sorted(unknown)}; {ADVICE}"
        )
    lookup = sorted(lookup, key=lambda row: int(row["LocationID"]))
    rows = pa.Table.from_pylist([_row(row, shapes) for row in lookup], SCHEMA)
    with open_duckdb() as db, atomic_write(target) as part, translate_os_errors(target):
        db.register("rows", rows)
        define_keyed_hash(db)
        columns = [(name, kind) for name, kind, *_ in db.execute("DESCRIBE rows").fetchall()]
        select, _ = rules.check_tables([TABLE]).apply(TABLE, columns, "the table of zones")
        try:
            db.execute(f"COPY (SELECT {select} FROM rows) TO {literal(part)} (FORMAT parquet)")
        except duckdb.InvalidInputException as problem:
            raise read_error(problem, Path(TABLE)) from problem
    return target


def _row(row: dict[str, str], shapes: dict[int, Shape]) -> dict[str, str | int | float | None]:
    id = int(row["LocationID"])
    found: dict[str, str | int | float | None] = {**row, "LocationID": id}
    if shape := shapes.get(id):
        found["longitude"], found["latitude"] = shape.inside
        found["geometry"], found["area_km2"] = shape.geometry, shape.area
    return found
