"""Conversion of zones, and the complete flow against a synthetic site."""

from __future__ import annotations

import io
import re
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
import pytest
import shapefile
from prefect import Flow
from prefect.flows import load_flow_from_entrypoint
from pyproj import CRS, Transformer

from nyc_taxi.conform.column_rules import EMPTY_RULES, read_rules
from nyc_taxi.errors import (
    CorruptFileError,
    InvalidInputError,
    InvalidValueError,
    NotPublishedError,
)
from synthetic_tlc import Site, write_zones
from tests.support.processes import ROOT, start

from .flow import zones
from .shapes import read_lookup, read_shapes
from .shapes import write_zones as write_table

Ring = list[tuple[float, float]]
Polygon = list[Ring]
NO_SHAPE = {57, 104, 105, 264, 265}


@pytest.fixture
def misc(tmp_path: Path) -> Path:
    """Write synthetic zone files."""
    return write_zones(tmp_path / "misc").parent


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


PAGE = b"<html>Access denied</html>"


def rewrite(path: Path, change: Callable[[dict[str, bytes]], dict[str, bytes]]) -> None:
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in change(files).items():
            archive.writestr(name, content)


def without_ids(files: dict[str, bytes]) -> dict[str, bytes]:
    """Return the same shapes under another name, with another field instead of the id."""
    return {
        name.replace("taxi_zones", "areas"): content.replace(b"LocationID", b"SomethingX")
        for name, content in files.items()
    }


GOOD_ZIPS: dict[str, Callable[[dict[str, bytes]], dict[str, bytes]]] = {
    "made on a Mac": lambda files: {
        "__MACOSX/._taxi_zones": b"x",
        **{f"__MACOSX/{name.replace('/', '/._')}": b"shadow" for name in files},
        **{name.replace("/", "/._"): b"shadow" for name in files},
        **files,
    },
    "capitals": lambda files: {name.upper(): content for name, content in files.items()},
    "capital endings": lambda files: {
        f"{name[:-3]}{name[-3:].upper()}": content for name, content in files.items()
    },
    "mixed case": lambda files: {
        name.replace("zones.prj", "Zones.PRJ"): content for name, content in files.items()
    },
    "deeper": lambda files: {f"a/b c/{name}": content for name, content in files.items()},
    "no folder": lambda files: {name.rpartition("/")[2]: file for name, file in files.items()},
    "no index": lambda files: {name: f for name, f in files.items() if not name.endswith("shx")},
    "another shapefile": lambda files: {**without_ids(files), **files},
    "lower-case field": lambda files: {
        name: content.replace(b"LocationID", b"locationid") for name, content in files.items()
    },
    "the city's export": lambda files: {
        name: content.replace(b"LocationID", b"location_i") for name, content in files.items()
    },
    "Latin-1 names": lambda files: {
        name: content.replace(b"Newark", b"N\xe9wark") for name, content in files.items()
    },
}


@pytest.mark.parametrize("kind", GOOD_ZIPS)
def test_zip_with_other_file_names_is_read(misc: Path, kind: str) -> None:
    path = misc / "taxi_zones.zip"
    expected = read_shapes(path)
    rewrite(path, GOOD_ZIPS[kind])
    assert read_shapes(path) == expected


BAD_ZIPS: dict[str, tuple[Callable[[dict[str, bytes]], dict[str, bytes]], str]] = {
    "no field": (without_ids, "LocationID: none"),
    "two": (
        lambda files: {**{f"old/{name}": file for name, file in files.items()}, **files},
        r"LocationID: old/taxi_zones/taxi_zones\.shp, taxi_zones/taxi_zones\.shp",
    ),
    "empty": (lambda files: {}, "LocationID: none"),
    "no projection": (
        lambda files: {name: file for name, file in files.items() if not name.endswith("prj")},
        r"it has no \.prj",
    ),
    "nonsense": (
        lambda files: {n: b"\n\nno\nWKT" if n.endswith("prj") else f for n, f in files.items()},
        "Invalid WKT",
    ),
    "another encoding": (
        lambda files: {n: b"\xff\xfe\x00" if n.endswith("prj") else f for n, f in files.items()},
        "decode",
    ),
    "heights": (
        lambda files: {
            name: CRS("EPSG:5773").to_wkt().encode() if name.endswith("prj") else file
            for name, file in files.items()
        },
        "map projection",
    ),
    "feet declared as degrees": (
        lambda files: {
            name: CRS("EPSG:4326").to_wkt("WKT1_ESRI").encode() if name.endswith("prj") else file
            for name, file in files.items()
        },
        "coordinates",
    ),
}


@pytest.mark.parametrize("kind", BAD_ZIPS)
def test_invalid_zip_is_rejected_in_one_line(misc: Path, kind: str) -> None:
    change, message = BAD_ZIPS[kind]
    path = misc / "taxi_zones.zip"
    rewrite(path, change)
    with pytest.raises(
        CorruptFileError, match=rf"taxi_zones\.zip is not a zip .*{message}"
    ) as error:
        read_shapes(path)
    line = str(error.value)
    assert "\n" not in line
    assert not re.search(r"object at 0x|Error\(|Exception\(|PosixPath", line)


def test_invalid_template_is_rejected(
    prefect_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NYC_TAXI_SOURCE_URL", "https://host.invalid/{day}/{year}.parquet")
    with pytest.raises(InvalidInputError, match=r"is not a valid template; use \{color\}"):
        zones()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: PAGE, "not a zone lookup: it starts with"),
        (lambda text: b"", "not a zone lookup: it starts with"),
        (lambda text: text + text[text.index(b"1,") :], "must have each LocationID once"),
        (lambda text: text.replace(b"\r\n7,", b"\r\nseven,"), "must have each LocationID once"),
        (lambda text: text.replace(b"Astoria", b"\xff"), "not a zone lookup"),
    ],
)
def test_invalid_lookup_is_rejected(
    misc: Path, change: Callable[[bytes], bytes], message: str
) -> None:
    path = misc / "taxi_zone_lookup.csv"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(CorruptFileError, match=rf"taxi_zone_lookup\.csv .*{message}"):
        read_lookup(path)


@pytest.mark.parametrize("damage", ["page", "cut", "no shapes", "no projection", "wrong shapes"])
def test_corrupt_zip_is_rejected(misc: Path, damage: str) -> None:
    path = misc / "taxi_zones.zip"
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    if damage in ("page", "cut"):
        path.write_bytes(PAGE if damage == "page" else content[: len(content) // 2])
    else:
        missing = {"no shapes": (".shp", ".shx"), "no projection": (".prj",)}.get(damage, ())
        with zipfile.ZipFile(path, "w") as archive:
            for name, file in files.items():
                if not name.endswith(missing or ("nothing",)):
                    cut = damage == "wrong shapes" and name.endswith(".shp")
                    archive.writestr(name, file[:5000] if cut else file)
    with pytest.raises(CorruptFileError, match=r"taxi_zones\.zip is not a zip of zone shapes"):
        read_shapes(path)


def test_shape_missing_from_the_lookup_is_rejected(misc: Path, tmp_path: Path) -> None:
    lookup = read_lookup(misc / "taxi_zone_lookup.csv")[1:]
    with pytest.raises(CorruptFileError, match=r"the lookup lacks zones that have a shape: \[1\]"):
        write_table(
            lookup, read_shapes(misc / "taxi_zones.zip"), EMPTY_RULES, tmp_path / "z.parquet"
        )


@pytest.mark.parametrize(
    ("types", "problem", "message"),
    [
        ("zones: {Zone: SMALLINT}", InvalidValueError, "zones: Zone holds Newark Airport"),
        (
            "zones: {Zome: VARCHAR}",
            InvalidInputError,
            r"the table of zones has no column 'zome'; it has Lo",
        ),
        ("zone: {Zone: VARCHAR}", InvalidInputError, "there is no table 'zone'; use one of zones"),
    ],
)
def test_invalid_rules_are_rejected(
    misc: Path, tmp_path: Path, types: str, problem: type[Exception], message: str
) -> None:
    (tmp_path / "column_types.yaml").write_text(types)
    lookup, target = read_lookup(misc / "taxi_zone_lookup.csv"), tmp_path / "zones.parquet"
    with pytest.raises(problem, match=message):
        write_table(lookup, {}, read_rules(tmp_path), target)
    assert not target.exists()


@pytest.fixture
def source(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    write_zones(site.folder / "misc")
    monkeypatch.setenv("NYC_TAXI_SOURCE_URL", f"{site.url}/trip-data")
    return site


def query_warehouse(tmp_path: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as db:
        return db.execute(query).fetchall()


def test_flow_is_idempotent(prefect_server: None, source: Site, tmp_path: Path) -> None:
    assert zones() == zones() == 265
    lake = tmp_path / "lake" / "data" / "reference" / "zones.parquet"
    everything = "SELECT * FROM {} ORDER BY LocationID"
    table = query_warehouse(tmp_path, everything.format("dezoomcamp.zones"))
    assert table == query_warehouse(tmp_path, everything.format(f"'{lake}'"))
    assert [row[:4] for row in table[-2:]] == [
        (264, "Unknown", "N/A", "N/A"),
        (265, "N/A", "Outside of NYC", "N/A"),
    ]
    assert {row[0] for row in table if row[4:] == (None,) * 4} == NO_SHAPE
    kinds = query_warehouse(
        tmp_path, "SELECT column_name, column_type FROM (DESCRIBE dezoomcamp.zones)"
    )
    assert dict(kinds)["LocationID"] == "SMALLINT"
    assert dict(kinds)["area_km2"] == "DOUBLE"


def test_flow_loads_into_postgres(
    source: Site, postgres: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NYC_TAXI_WAREHOUSE", "postgres:no-such-block")
    assert zones() == zones() == 265
    query = "SELECT * FROM {} ORDER BY LocationID"
    lake = tmp_path / "lake" / "data" / "reference" / "zones.parquet"
    with duckdb.connect() as db:
        expected = db.execute(query.format(f"'{lake}'")).fetchall()
    with closing(psycopg2.connect(postgres)) as link, link.cursor() as cursor:
        cursor.execute(query.format("dezoomcamp.zones"))
        assert cursor.fetchall() == expected
        cursor.execute("SELECT pg_typeof(locationid)::text FROM dezoomcamp.zones LIMIT 1")
        assert cursor.fetchall() == [("smallint",)]


@pytest.mark.slow
def test_missing_file_keeps_the_old_table(
    prefect_server: None, source: Site, tmp_path: Path
) -> None:
    assert zones() == 265
    (source.folder / "misc" / "taxi_zones.zip").unlink()
    with pytest.raises(NotPublishedError, match=r"misc/taxi_zones\.zip does not exist"):
        zones()
    (source.folder / "misc" / "taxi_zones.zip").write_bytes(PAGE)
    with pytest.raises(CorruptFileError, match="not a zip of zone shapes"):
        zones()
    assert query_warehouse(tmp_path, "SELECT count(geometry) FROM dezoomcamp.zones") == [(260,)]


@pytest.mark.slow
def test_transient_errors_are_retried(prefect_server: None, source: Site) -> None:
    source.answer(503, path="taxi_zones.zip")
    source.cut("taxi_zones.zip", after=100)
    assert zones() == 265


@pytest.mark.slow_on("file://")
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_flow_reads_a_local_folder(
    prefect_server: None, misc: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv("NYC_TAXI_SOURCE_URL", f"{scheme}{misc.parent}/trip-data")
    assert zones() == 265
    (misc / "taxi_zones.zip").unlink()
    with pytest.raises(NotPublishedError, match=r"/.*misc/taxi_zones\.zip does not exist; check"):
        zones()


@pytest.mark.slow
def test_flow_runs_as_a_script_and_from_its_entrypoint(
    prefect_server: None, source: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with start("-m", "reference.zones.flow") as run:
        output = run.communicate()[0]
    assert run.returncode == 0, output
    assert "zones: 265" in output.splitlines()
    monkeypatch.chdir(ROOT)
    entrypoint = "flows/reference/zones/flow.py:zones"
    loaded: Flow[[], int] = load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)
    assert loaded.name == "zones"
    assert loaded() == 265
