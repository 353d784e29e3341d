"""Zone shapes for the map: simplified together, on a grid of whole numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import shapely

WIDTH = 1000
"""Grid units from the westernmost to the easternmost point."""
TOLERANCE = 1.2
"""Grid units by which borders may move."""
ISLET = 6
"""Square grid units below which islands and holes are omitted, except a zone's only part."""
Ring = list[tuple[int, int]]
Shapes = dict[int, list[list[Ring]]]
"""Zone -> polygons, each with its outer ring and its holes."""


def grid_shapes(rows: Iterable[tuple[int, str | None]]) -> Shapes:
    """Convert the shapes (WKT, degrees) of the zones that have one; y grows to the south."""
    found = {int(zone): shapely.from_wkt(text, on_invalid="ignore") for zone, text in rows if text}
    wanted = {zone: shape for zone, shape in sorted(found.items()) if _has_area(shape)}
    if not wanted:
        return {}
    degrees = np.array(list(wanted.values()))
    west, south, east, north = shapely.total_bounds(degrees)
    stretch = np.array([math.cos(math.radians((south + north) / 2)), -1])
    scale = WIDTH / ((east - west) * stretch[0])
    grid = shapely.transform(degrees, lambda points: (points - (west, north)) * stretch * scale)
    simple = shapely.coverage_simplify(grid, TOLERANCE)  # neighbors keep common borders
    return {zone: _polygons(shape) for zone, shape in zip(wanted, simple, strict=True)}


def _has_area(shape: shapely.Geometry | None) -> bool:
    return isinstance(shape, shapely.Polygon | shapely.MultiPolygon) and shape.area > 0


def _polygons(shape: shapely.Geometry) -> list[list[Ring]]:
    parts = sorted(shapely.get_parts(shape), key=lambda part: -part.area)
    parts = [*parts[:1], *(part for part in parts[1:] if part.area > ISLET)]
    return [_rings(part) for part in parts]


def _rings(polygon: shapely.Polygon) -> list[Ring]:
    holes = [ring for ring in polygon.interiors if shapely.Polygon(ring).area > ISLET]
    return [_whole(ring) for ring in (polygon.exterior, *holes)]


def _whole(ring: shapely.LinearRing) -> Ring:
    """Return the points as whole numbers, each once in a row."""
    points = [(round(x), round(y)) for x, y in ring.coords]
    return [point for n, point in enumerate(points) if n == 0 or point != points[n - 1]]
