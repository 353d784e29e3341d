"""Comments that the warehouse keeps with the zones."""

from nyc_taxi.trips.table_comments import SOURCE, Comments

COMMENTS = Comments(
    f"The TLC's taxi zones, one row per zone. Source: {SOURCE}",
    {
        "LocationID": "Number of the zone, 1 to 265; 264 is unknown, 265 is outside of the city.",
        "Borough": "Borough, as the TLC spells it; N/A is a text, not a null.",
        "Zone": "Name of the zone; names repeat.",
        "service_zone": "Service zone: Yellow Zone, Boro Zone, EWR or Airports.",
        "geometry": "Shape, a MULTIPOLYGON as WKT (longitude and latitude, degrees, WGS 84).",
        "longitude": "Longitude of a point inside the shape (degrees, WGS 84).",
        "latitude": "Latitude of a point inside the shape (degrees, WGS 84).",
        "area_km2": "Area of the shape (square kilometers).",
    },
)
