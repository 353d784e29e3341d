"""The table of the 265 taxi zones, in the form of the TLC's `misc/taxi_zone_lookup.csv`."""

from __future__ import annotations

from pathlib import Path

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
PLACES = {  # invented for the other ids, in turn
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


def write_zones(folder: Path) -> Path:
    """Write `taxi_zone_lookup.csv`; 264 and 265 hold the text "N/A", and two names repeat."""
    lines = ['"LocationID","Borough","Zone","service_zone"']
    boroughs = list(PLACES)
    for id in range(1, 266):
        turn, place = divmod(id, len(boroughs))
        borough = boroughs[place]
        quarter, name = divmod(turn, len(PLACES[borough]))
        service = "Yellow Zone" if borough == "Manhattan" else "Boro Zone"
        invented = (borough, PLACES[borough][name] + QUARTERS[quarter % len(QUARTERS)], service)
        lines.append('{},"{}","{}","{}"'.format(id, *KNOWN.get(id, invented)))
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "taxi_zone_lookup.csv"
    path.write_bytes("".join(line + "\r\n" for line in lines).encode())
    return path
