"""The panels of the page: their questions, and the filters that each cannot follow."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Panel:
    name: str
    question: str
    about: str
    """How to read it."""
    columns: int
    """Width, of 12 columns."""
    ignores: tuple[str, ...] = ()
    """Filters that gold has no numbers for; the panel says so."""
    ignores_with_zone: tuple[str, ...] = ()
    """Those that it does not follow either, once a zone is chosen."""
    parts: tuple[str, ...] = field(default=("chart",))
    """What it has, from top to bottom: `legend`, `ramp`, `chart`, `bars`, `facts`."""


AIR = "Modelled, not measured."
SECTIONS: dict[str, tuple[Panel, ...]] = {
    "Trips": (
        Panel(
            "trend",
            "When did it change?",
            "By month; by day for up to a year. A gap is a month that is not loaded.",
            12,
            parts=("legend", "chart"),
        ),
        Panel(
            "zones",
            "Where do trips begin?",
            "Pickup zones. Choose one to see its trips alone; choose it again for all.",
            7,
            parts=("ramp", "chart", "bars"),
        ),
        Panel(
            "week",
            "When in the week?",
            "Pickups by weekday and hour, New York time.",
            5,
            ignores_with_zone=("year", "month", "measure"),
            parts=("ramp", "chart"),
        ),
        Panel(
            "routes",
            "Where to?",
            "Of each zone, the page has the ten busiest routes of all years and services.",
            5,
            ignores=("month",),
            parts=("bars",),
        ),
    ),
    "Money": (
        Panel(
            "payments",
            "How is it paid?",
            "Yellow and green trips; other services do not report it.",
            4,
            ignores=("zone",),
            parts=("legend", "chart"),
        ),
        Panel(
            "tips",
            "How is it tipped?",
            "Tips as a share of the rest of the bill: card trips of taxis, all trips of fhvhv. "
            "Cash tips are not recorded.",
            4,
            ignores=("zone", "measure"),
            parts=("legend", "chart"),
        ),
        Panel(
            "companies",
            "Who earns what on a rideshare?",
            "Per trip of fhvhv: the rider's base fare, and the driver's pay without tolls, tips.",
            4,
            ignores=("zone", "measure"),
            parts=("legend", "chart"),
        ),
    ),
    "Rain and air": (
        Panel(
            "rain",
            "Does rain matter?",
            "Days against the usual of the same weekday, month and service. "
            "Wet: 1 mm or more of rain or snow; very wet: 10 mm.",
            5,
            ignores=("zone",),
        ),
        Panel(
            "air",
            "Which days stand out?",
            f"Highest US air quality index (AQI) of each day, city-wide. {AIR}",
            7,
            ignores=("service", "zone", "measure"),
            parts=("chart", "facts"),
        ),
    ),
    "The data": (
        Panel(
            "months",
            "What is loaded?",
            "The darker, the more trips. Choose a month to see it alone.",
            4,
            parts=("legend", "chart", "facts"),
        ),
        Panel(
            "quality",
            "Can I trust it?",
            "Rejected rows are in no other number. Flagged rows are counted, and marked.",
            4,
            ignores=("zone", "measure"),
            parts=("legend", "bars", "facts"),
        ),
        Panel(
            "passengers",
            "Who counted the passengers?",
            "Share of yellow and green trips without a passenger count.",
            4,
            ignores=("zone", "measure"),
            parts=("legend", "chart"),
        ),
    ),
}
TILES = {
    "trips": "trips",
    "revenue": "paid by passengers",
    "fare": "per trip",
    "tip": "tip, by card",
    "passengers": "no passenger count",
    "rejected": "rows rejected",
    "months": "months loaded",
}
