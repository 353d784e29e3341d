"""Meaning, unit and codes of every declared column.

Source: the TLC's data dictionaries
(https://www.nyc.gov/site/tlc/about/tlc-trip-record-data.page). One text per name: a column that
several services publish under one name means the same in each, unless the text says otherwise.
"""

from collections.abc import Mapping

DESCRIPTIONS: Mapping[str, str] = {
    "trip_month": "First day of the month of the published file, not of the pickup.",
    # All services
    "PULocationID": "Taxi zone where the trip began (LocationID of the table zones).",
    "DOLocationID": "Taxi zone where the trip ended (LocationID of the table zones).",
    "congestion_surcharge": "New York State congestion surcharge.",
    "cbd_congestion_fee": "Charge per trip for the MTA's Congestion Relief Zone, from 2025-01-05.",
    "airport_fee": (
        "Airport fee: for yellow taxis, pickups at LaGuardia and JFK; for fhvhv, pickups and "
        "dropoffs at LaGuardia, JFK and Newark."
    ),
    # Yellow and green taxis
    "VendorID": "Technology provider that supplied the record.",
    "tpep_pickup_datetime": "When the meter was engaged.",
    "tpep_dropoff_datetime": "When the meter was disengaged.",
    "lpep_pickup_datetime": "When the meter was engaged.",
    "lpep_dropoff_datetime": "When the meter was disengaged.",
    "passenger_count": "Passengers in the vehicle, as entered by the driver.",
    "trip_distance": "Distance of the trip as reported by the meter.",
    "RatecodeID": "Final rate code in effect at the end of the trip.",
    "store_and_fwd_flag": (
        "Y if the record was held in the vehicle's memory before it was sent, because there was "
        "no connection to the server; else N."
    ),
    "payment_type": "How the passenger paid.",
    "fare_amount": "Time-and-distance fare calculated by the meter.",
    "extra": "Miscellaneous extras and surcharges, such as rush hour and overnight.",
    "mta_tax": "MTA tax, triggered by the metered rate in use.",
    "tip_amount": "Tip paid by card; cash tips are not included.",
    "tolls_amount": "Tolls paid during the trip.",
    "improvement_surcharge": "Improvement surcharge assessed at the flag drop, levied since 2015.",
    "total_amount": "Total charged to the passenger; cash tips are not included.",
    "ehail_fee": "Fee for hailing the taxi by an app; empty in nearly every file.",
    "trip_type": "Street hail or dispatch, set by the metered rate; the driver may change it.",
    "pickup_longitude": "Longitude where the meter was engaged, in files without zones.",
    "pickup_latitude": "Latitude where the meter was engaged, in files without zones.",
    "dropoff_longitude": "Longitude where the meter was disengaged, in files without zones.",
    "dropoff_latitude": "Latitude where the meter was disengaged, in files without zones.",
    # For-hire vehicles, fhv and fhvhv
    "dispatching_base_num": "TLC license number of the base that dispatched the trip.",
    "pickup_datetime": "When the trip began.",
    "dropOff_datetime": "When the trip ended.",
    "dropoff_datetime": "When the trip ended.",
    "PUlocationID": "Taxi zone where the trip began (LocationID of the table zones).",
    "DOlocationID": "Taxi zone where the trip ended (LocationID of the table zones).",
    "SR_Flag": (
        "1 if the trip was part of a shared ride of a high-volume service, else null or 0. Lyft "
        "also flags rides that were requested as shared and not matched."
    ),
    "Affiliated_base_number": "TLC license number of the base that the vehicle is affiliated with.",
    "hvfhs_license_num": "TLC license number of the high-volume service.",
    "originating_base_num": "Base that received the original trip request.",
    "request_datetime": "When the passenger asked to be picked up.",
    "on_scene_datetime": "When the driver arrived at the pickup; accessible vehicles only.",
    "trip_miles": "Distance of the passenger's trip.",
    "trip_time": "Duration of the passenger's trip.",
    "base_passenger_fare": "Passenger fare before tolls, tips, taxes and fees.",
    "tolls": "Tolls paid during the trip.",
    "bcf": "Amount collected for the Black Car Fund.",
    "sales_tax": "New York State sales tax.",
    "tips": "Tips received from the passenger.",
    "driver_pay": "Driver pay, without tolls and tips, net of commission, surcharges and taxes.",
    "shared_request_flag": "Y if the passenger agreed to share the ride, matched or not; else N.",
    "shared_match_flag": "Y if the passenger shared the vehicle with a separate booking; else N.",
    "access_a_ride_flag": "Y if the trip was made for the MTA's Access-A-Ride; else N.",
    "wav_request_flag": "Y if a wheelchair-accessible vehicle was requested; else N.",
    "wav_match_flag": "Y if the vehicle was wheelchair-accessible; else N.",
}

_MONEY = (
    "fare_amount extra mta_tax tip_amount tolls_amount improvement_surcharge total_amount "
    "congestion_surcharge airport_fee cbd_congestion_fee ehail_fee "
    "base_passenger_fare tolls bcf sales_tax tips driver_pay"
)
_COORDINATES = "pickup_longitude pickup_latitude dropoff_longitude dropoff_latitude"
_TIMES = (
    "tpep_pickup_datetime tpep_dropoff_datetime lpep_pickup_datetime lpep_dropoff_datetime "
    "pickup_datetime dropoff_datetime dropOff_datetime request_datetime on_scene_datetime"
)

UNITS: Mapping[str, str] = {
    **dict.fromkeys(_MONEY.split(), "US dollars"),
    **dict.fromkeys(_COORDINATES.split(), "degrees, WGS 84"),
    **dict.fromkeys(_TIMES.split(), "New York wall-clock time"),
    "trip_distance": "miles",
    "trip_miles": "miles",
    "trip_time": "seconds",
    "passenger_count": "persons",
}
"""Times have no zone: in the hour that the clock is set back, a dropoff may precede its pickup."""

CODES: Mapping[str, Mapping[int | str, str]] = {
    "VendorID": {
        1: "Creative Mobile Technologies",
        2: "Curb Mobility",
        3: "Digital Dispatch Systems",  # gone since 2010; this project's number, not the TLC's
        6: "Myle Technologies",
        7: "Helix",
    },
    "RatecodeID": {
        1: "Standard rate",
        2: "JFK",
        3: "Newark",
        4: "Nassau or Westchester",
        5: "Negotiated fare",
        6: "Group ride",
        99: "Unknown",
    },
    "payment_type": {
        0: "Flex fare",
        1: "Credit card",
        2: "Cash",
        3: "No charge",
        4: "Dispute",
        5: "Unknown",
        6: "Voided trip",
    },
    "trip_type": {1: "Street hail", 2: "Dispatch"},
    "hvfhs_license_num": {"HV0002": "Juno", "HV0003": "Uber", "HV0004": "Via", "HV0005": "Lyft"},
}
"""What each code stands for."""
