"""Published files of zones: zips, lookups and rules that are read, or rejected in one line."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from pyproj import CRS

from nyc_taxi.conform.column_rules import EMPTY_RULES, read_rules
from nyc_taxi.errors import CorruptFileError, InvalidInputError, InvalidValueError
from reference.zones.shapes import read_lookup, read_shapes
from reference.zones.shapes import write_zones as write_table

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
