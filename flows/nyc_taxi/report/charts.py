"""The charts, as Vega-Lite by Altair. The page's script gives each its rows, by the chart's name.

Colors are CSS variables, so that one chart serves light, dark and print.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import altair as alt

Chart = Any
"""An alt.Chart or alt.LayerChart: the methods of Altair have no types."""
SERVICES = ("yellow", "green", "fhv", "fhvhv")
WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
STEPS = 7
"""Classes of color on the map and in the calendar, from few to many."""
RAMP = [f"var(--ramp-{step})" for step in range(STEPS)]
PAYMENTS = 9
QUIET = alt.Axis(labelAngle=0, labelOverlap=True, domain=False)
COUNTS = alt.Axis(tickCount=4, format="~s", labelExpr="datum.value % 1 ? '' : datum.label")
"""There is no half trip."""
TIME = alt.Axis(grid=False, tickCount=8, labelOverlap=True)


def _chart(name: str, **size: Any) -> Chart:
    return alt.Chart(alt.NamedData(name), width="container", **size)


def _by_service() -> alt.Color:
    colors = [f"var(--{service})" for service in SERVICES]
    scale = alt.Scale(domain=list(SERVICES), range=colors)
    return alt.Color("service:N", scale=scale, legend=None)


def _by_step(none: str) -> alt.Color:
    """Color of the classes -1 (no trips) to 6."""
    scale = alt.Scale(domain=list(range(-1, STEPS)), range=[none, *RAMP])
    return alt.Color("step:O", scale=scale, legend=None)


def _share(field: str, **options: Any) -> alt.Y:
    return alt.Y(field, title=None, axis=alt.Axis(format=".0%", tickCount=4), **options)


def trend() -> Chart:
    return (
        _chart("trend", height=220)
        .mark_rect(stroke="var(--paper)", strokeWidth=alt.ExprRef("edge"))
        .add_params(alt.param("edge", value=0.5))
        .encode(
            x=alt.X("from:T", title=None, axis=TIME),
            x2="to:T",
            y=alt.Y("low:Q", title=None, axis=COUNTS),
            y2="high:Q",
            color=_by_service(),
        )
    )


def zones() -> Chart:
    chosen = "datum.zone === zone"
    fit = "min(width / 1000, height / mapHeight)"
    return (
        _chart("zones", height=560)
        .mark_geoshape(strokeJoin="round", cursor="pointer", aria=True)
        .encode(
            color=_by_step("var(--none)"),
            stroke=alt.condition(chosen, alt.value("var(--ink)"), alt.value("var(--paper)")),
            strokeWidth=alt.condition(chosen, alt.value(2.5), alt.value(0.7)),
            description="label:N",
        )
        .add_params(alt.param("zone", value=0), alt.param("mapHeight", value=1000))
        .project(
            type="identity",
            scale=alt.ExprRef(fit),
            translate=alt.ExprRef(f"[(width - 1000 * {fit}) / 2, 0]"),
        )
    )


def week() -> Chart:
    return (
        _chart("week", height=alt.Step(26))
        .mark_rect(cornerRadius=2)
        .encode(
            x=alt.X("hour:O", title=None, axis=QUIET),
            y=alt.Y("day:O", sort=WEEKDAYS, title=None, axis=QUIET),
            color=_by_step("var(--none)"),
        )
        .configure_scale(bandPaddingInner=0.06)
    )


def payments() -> Chart:
    colors = [f"var(--part-{n})" for n in range(PAYMENTS)]
    scale = alt.Scale(domain=list(range(PAYMENTS)), range=colors)
    return (
        _chart("payments", height=170)
        .mark_bar()
        .encode(
            x=alt.X("year:O", title=None, axis=QUIET),
            y=_share("share:Q", stack="zero", scale=alt.Scale(domain=[0, 1])),
            color=alt.Color("rank:O", scale=scale, legend=None),
            order="rank:Q",
        )
    )


def _lines(name: str) -> Chart:
    """Shares by month, a line for each service; few months are dots, too."""
    base = _chart(name, height=150).encode(
        x=alt.X("from:T", title=None, axis=TIME),
        y=_share("share:Q", scale=alt.Scale(zero=True)),
        color=_by_service(),
    )
    lines = base.mark_line(strokeWidth=1.6)
    dots = base.mark_circle(size=60, opacity=alt.ExprRef("dots"))
    return (lines + dots).add_params(alt.param("dots", value=1))


def tips() -> Chart:
    return _lines("tips")


def passengers() -> Chart:
    return _lines("passengers")


def companies() -> Chart:
    base = _chart("companies", height=alt.Step(40)).encode(
        y=alt.Y("company:N", title=None, axis=QUIET)
    )
    dollars = alt.Axis(format="$.0f", tickCount=5)
    line = base.mark_rule(strokeWidth=3, stroke="var(--rule)").encode(
        x=alt.X("pay:Q", title=None, axis=dollars, scale=alt.Scale(zero=False, padding=24)),
        x2="fare:Q",
    )
    pay = base.mark_circle(size=130, opacity=1, color="var(--part-0)").encode(x="pay:Q")
    fare = base.mark_circle(size=130, opacity=1, color="var(--accent)").encode(x="fare:Q")
    return line + pay + fare


def rain() -> Chart:
    below = "datum.share < 0"
    base = _chart("rain", height=alt.Step(52)).encode(
        y=alt.Y("axis:N", sort=None, title=None, axis=QUIET),
        x=alt.X(
            "share:Q",
            title=None,
            axis=alt.Axis(format="+.0%", tickCount=4),
            scale=alt.Scale(domainMin=alt.ExprRef("-reach"), domainMax=alt.ExprRef("reach")),
        ),
    )
    bars = base.mark_bar(height={"band": 0.5}, color="var(--part-0)")
    text = base.mark_text(
        align=alt.ExprRef(f"{below} ? 'right' : 'left'"),
        dx=alt.ExprRef(f"{below} ? -6 : 6"),
        fill="var(--ink)",
    )
    return (bars + text.encode(text="text:N")).add_params(alt.param("reach", value=0.1))


def air() -> Chart:
    x = alt.X("date:T", title=None, axis=TIME)
    y = alt.Y("aqi:Q", title=None, axis=alt.Axis(tickCount=4))
    base = _chart("air", height=190).encode(x=x, y=y)
    line = base.mark_line(strokeWidth=1.4, color="var(--part-0)")
    points = base.mark_circle(opacity=0, size=60)  # what the pointer finds
    worst = base.mark_circle(opacity=1, size=80, color="var(--bad)")
    return line + points + worst.transform_filter("datum.stands_out")


def months() -> Chart:
    return (
        _chart("months", height=alt.Step(26))
        .mark_rect(cornerRadius=3, cursor="pointer", aria=True)
        .encode(
            x=alt.X("name:O", sort=MONTHS, title=None, axis=QUIET),
            y=alt.Y("year:O", title=None, axis=QUIET),
            color=_by_step("transparent"),
            stroke=alt.Stroke("border:N", scale=None),
            strokeWidth=alt.StrokeWidth("width:Q", scale=None),
            description="label:N",
        )
        .configure_scale(bandPaddingInner=0.14)
    )


CHARTS: dict[str, Callable[[], Chart]] = {
    chart.__name__: chart
    for chart in (*(trend, zones, week, payments, tips, companies, rain, air, months, passengers),)
}


def specifications() -> dict[str, dict[str, Any]]:
    """Return the Vega-Lite of all charts; they fill the width of their panel."""
    found = {name: chart().to_dict() for name, chart in CHARTS.items()}
    for spec in found.values():
        spec.pop("$schema")
        stepped = isinstance(spec.get("height"), dict)
        fit = "fit-x" if stepped else "fit"
        spec["autosize"] = {"type": fit, "contains": "padding", "resize": True}
    return found
