"""Shapes of zones: their geometry and areas, in any projection."""

from __future__ import annotations

import io
import re
import zipfile
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import pytest
import shapefile
from pyproj import CRS, Transformer

from nyc_taxi.errors import CorruptFileError
from reference.zones.shapes import read_lookup, read_shapes

Ring = list[tuple[float, float]]
Polygon = list[Ring]
NO_SHAPE = {57, 104, 105, 264, 265}


def polygons(wkt: str) -> list[Polygon]:
    """Parse the rings of a MULTIPOLYGON, independently of the code that wrote it."""
    assert wkt.startswith("MULTIPOLYGON (((")
    return [
        [
            [(float(x), float(y)) for x, y in (point.split() for point in ring.split(", "))]
            for ring in re.findall(r"\(?([-\d. ,]+)\)?", polygon)
            if ring.strip(" ,")
        ]
        for polygon in re.split(r"\)\), \(\(", wkt.removeprefix("MULTIPOLYGON "))
    ]


def is_inside(point: tuple[float, float], rings: Polygon) -> bool:
    """Return whether an upward ray from the point crosses an odd number of edges."""
    x, y = point
    edges = [edge for ring in rings for edge in pairwise(ring)]
    met = [
        (a, b, c, d)
        for (a, b), (c, d) in edges
        if (a <= x) != (c <= x) and b + (x - a) * (d - b) / (c - a) > y
    ]
    return len(met) % 2 == 1


def signed_area(ring: Ring) -> float:
    """Return the area of a ring; positive if it is counter-clockwise."""
    x0, y0 = ring[0]  # a nearby origin, which limits rounding errors
    return sum((a - x0) * (d - y0) - (c - x0) * (b - y0) for (a, b), (c, d) in pairwise(ring)) / 2


def test_shapes_are_multipolygons_with_counter_clockwise_outer_rings(misc: Path) -> None:
    shapes = read_shapes(misc / "taxi_zones.zip")
    assert set(range(1, 266)) - set(shapes) == NO_SHAPE
    for shape in shapes.values():
        for outer, *holes in polygons(shape.geometry):
            assert outer[0] == outer[-1]
            assert signed_area(outer) > 0
            assert all(signed_area(hole) < 0 for hole in holes)
        assert any(is_inside(shape.inside, rings) for rings in polygons(shape.geometry))
        assert all(-74.3 < x < -73.7 and 40.4 < y < 41 for x, y in polygons(shape.geometry)[0][0])
    parts = Counter({id: len(polygons(shape.geometry)) for id, shape in shapes.items()})
    assert parts.most_common(3) == [(103, 3), (56, 2), (1, 1)]
    assert [len(rings) for rings in polygons(shapes[132].geometry)] == [2]
    feet = 1200 / 3937  # US survey foot in meters
    assert shapes[1].area == pytest.approx((7000 * feet) ** 2 / 1e6, rel=1e-3)
    assert shapes[132].area == pytest.approx((7000**2 - 5000**2) * feet**2 / 1e6, rel=1e-3)
    assert shapes[103].area == pytest.approx(3 * shapes[1].area, rel=1e-3)


def test_real_shapes_match_their_declared_areas(real: Path) -> None:
    path = real / "misc" / "taxi_zones.zip"
    shapes = read_shapes(path)
    assert set(range(1, 266)) - set(shapes) == NO_SHAPE
    declared: dict[int, float] = defaultdict(float)  # square degrees, with water beyond the shore
    square_feet: dict[int, float] = defaultdict(float)
    with shapefile.Reader(str(path)) as records:
        for record in records.iterShapeRecords():
            id, points = record.record["LocationID"], record.shape.points
            declared[id] += record.record["Shape_Area"]
            for first, end in pairwise([*record.shape.parts, len(points)]):
                square_feet[id] -= signed_area(points[first:end])  # opposite direction
    as_declared = 0
    for id, shape in shapes.items():
        rings = polygons(shape.geometry)
        found = sum(signed_area(ring) for polygon in rings for ring in polygon)
        assert found < declared[id] * 1.001
        as_declared += found > declared[id] * 0.999
        assert shape.area == pytest.approx(square_feet[id] * (1200 / 3937) ** 2 / 1e6, rel=1e-3)
        assert any(is_inside(shape.inside, polygon) for polygon in rings), id
    assert as_declared > 100  # the zones without a shore
    lookup = {
        int(row["LocationID"]): row for row in read_lookup(path.parent / "taxi_zone_lookup.csv")
    }
    manhattan = [s.area for id, s in shapes.items() if lookup[id]["Borough"] == "Manhattan"]
    assert sum(manhattan) == pytest.approx(59, abs=0.5)  # with Governor's Island and Liberty Island
    assert lookup[264]["Zone"] == lookup[265]["Borough"] == "N/A"


def reproject(
    path: Path,
    crs: str,
    kind: int = shapefile.POLYGON,
    *,
    named: str | None = None,
    always_xy: bool = True,
) -> None:
    """Convert the shapes to another coordinate system, as geopandas' `to_crs` does.

    `named`: the system that the .prj names instead.
    """
    to = Transformer.from_crs("EPSG:2263", crs, always_xy=always_xy)
    files = {end: io.BytesIO() for end in ("shp", "shx", "dbf")}
    with shapefile.Reader(str(path)) as old, shapefile.Writer(**files, shapeType=kind) as new:
        new.fields = old.fields[1:]
        for record in old.iterShapeRecords():
            points = [to.transform(*point) for point in record.shape.points]
            parts = [*record.shape.parts, len(points)]
            rings = [points[first:end] for first, end in pairwise(parts)]
            if kind == shapefile.POLYGONZ:
                new.polyz([[(x, y, 7) for x, y in ring] for ring in rings])
            else:
                new.poly(rings)
            new.record(*record.record)
        new.null()
        new.record(OBJECTID=264, LocationID=264)
    with zipfile.ZipFile(path, "w") as archive:
        for end, file in files.items():
            archive.writestr(f"zones.{end}", file.getvalue())
        archive.writestr("zones.prj", CRS(named or crs).to_wkt("WKT1_ESRI"))


@pytest.mark.few(3)
@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:4269", "EPSG:3857", "ESRI:102718", "EPSG:6347"])
def test_areas_do_not_depend_on_the_projection(misc: Path, crs: str) -> None:
    """Areas were computed from degrees, or from the meters of Web Mercator."""
    path = misc / "taxi_zones.zip"
    before = read_shapes(path)
    reproject(path, crs)
    after = read_shapes(path)
    assert after.keys() == before.keys()
    for id, shape in after.items():
        assert shape.area == pytest.approx(before[id].area, rel=1e-4)
        assert any(is_inside(shape.inside, rings) for rings in polygons(shape.geometry))


@pytest.mark.parametrize(
    ("crs", "named", "always_xy", "message"),
    [
        ("EPSG:4326", "EPSG:4326", False, "not near New York"),  # latitude first
        ("EPSG:4326", "EPSG:2263", True, "has no area"),
        ("EPSG:4326", "EPSG:3857", True, "not near New York"),
        ("EPSG:3857", "EPSG:2263", True, "not near New York"),
        ("EPSG:2263", "EPSG:4326", True, "not near New York"),
        ("EPSG:32618", "EPSG:32619", True, "not near New York"),
    ],
)
def test_shapes_in_another_projection_than_the_prj_are_rejected(
    misc: Path, crs: str, named: str, always_xy: bool, message: str
) -> None:
    """They resulted in areas of 0.0 km2, or in zones in Antarctica."""
    path = misc / "taxi_zones.zip"
    reproject(path, crs, named=named, always_xy=always_xy)
    with pytest.raises(CorruptFileError, match=rf"not a zip of zone shapes \(.*{message}"):
        read_shapes(path)


def test_shapes_with_heights_are_read(misc: Path) -> None:
    path = misc / "taxi_zones.zip"
    before = read_shapes(path)
    reproject(path, "EPSG:2263", shapefile.POLYGONZ)
    after = read_shapes(path)
    assert {id: (s.geometry, s.area) for id, s in after.items()} == {
        id: (s.geometry, s.area) for id, s in before.items()
    }
