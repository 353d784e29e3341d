"""The page: template, style, script, charts and numbers in one file that needs no network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path, PurePath
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from nyc_taxi.errors import InvalidInputError
from nyc_taxi.report.panels import SECTIONS, TILES
from nyc_taxi.report.payload import Payload
from nyc_taxi.storage.atomic_files import atomic_write

TEMPLATES = Path(__file__).with_name("templates")
SCRIPTS = (
    *("numbers.js", "filters.js", "panels.js", "panels_money.js", "panels_data.js"),
    *("charts.js", "tables.js", "start.js"),
)
MONTH_NAMES = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
VEGA_LITE = "6.4"
EXTRA = {"altair": "altair", "vl_convert": "vl-convert-python"}
"""Modules of the extra `report`, and their packages."""


def check_extra() -> None:
    """Raise InvalidInputError unless the packages of the extra `report` are installed."""
    missing = [package for module, package in EXTRA.items() if find_spec(module) is None]
    if missing:
        raise InvalidInputError(
            f"the report needs {' and '.join(missing)}; install what it needs: "
            "python -m pip install '.[report]'"
        )


def render_page(payload: Payload | None, warehouse: str) -> str:
    """Return the HTML; `payload` is None if gold has no month. Equal numbers give equal bytes."""
    loader = FileSystemLoader(TEMPLATES)
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("page.html.j2" if payload else "empty.html.j2")
    style = Markup(_read("page.css"))
    if payload is None:
        return template.render(style=style, warehouse=warehouse)
    return template.render(
        style=style,
        warehouse=warehouse,
        sections=SECTIONS,
        tiles=TILES,
        services=payload["services"],
        months=payload["months"],
        years=sorted({month[1][:4] for month in payload["months"]}),
        month_names=MONTH_NAMES,
        boroughs=_by_borough(payload["zones"]),
        payload=_json({**payload, "charts": _specifications()}),
        library=Markup(_library()),
        scripts=Markup("\n".join(map(_read, SCRIPTS))),
    )


def write_page(payload: Payload | None, address: str, target: Path) -> Path:
    """Replace the page at `target`, or what it is a link to. `address`: of the warehouse."""
    text = render_page(payload, _label(address))
    with atomic_write(target.resolve()) as part:
        part.write_text(text, "utf-8")
    return target


def _label(address: str) -> str:
    """Return the address without folders: pages are passed on."""
    kind, _, place = address.partition(":")
    return f"{kind}:{PurePath(place).name}"


def _read(name: str) -> str:
    return (TEMPLATES / name).read_text("utf-8")


def _specifications() -> dict[str, Any]:
    from nyc_taxi.report.charts import specifications  # the extra is imported only for a page

    return specifications()


def _library() -> str:
    """Return vega-embed with Vega and Vega-Lite, as one script."""
    import vl_convert

    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", VEGA_LITE)
    # Other `</` are in its regular expressions.
    return bundle.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _json(value: Mapping[str, Any]) -> Markup:
    """Return JSON that no text in it can end the script element of."""
    return Markup(json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"))


def _by_borough(zones: list[list[Any]]) -> list[tuple[str, list[tuple[int, str]]]]:
    boroughs: dict[str, list[tuple[int, str]]] = {}
    for zone, name, borough in sorted(zones, key=lambda row: (row[1], row[0])):
        boroughs.setdefault(borough, []).append((zone, name))
    return sorted(boroughs.items())
