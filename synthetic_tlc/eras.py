"""Published columns of every era, as data.

Each line of a table is `name  type  field`: the published name, its Arrow type, and the field of
`trips.py` that generates it. A `?` after the type marks the columns that are null in the rows of
the null block (see `trips.py`). A table with a base changes or adds columns.

Sources: footers of the published Parquet files (2019-01 to 2026-08, and samples of earlier years),
the TLC's data dictionaries, and the first bytes of the older CSV files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

import pyarrow as pa


class Column(NamedTuple):
    name: str
    type: pa.DataType
    field: str
    blank: bool = False


Layout = tuple[Column, ...]
Era = TypeVar("Era")

TYPES = {
    "int32": pa.int32(),
    "int64": pa.int64(),
    "double": pa.float64(),
    "string": pa.string(),
    "text": pa.large_string(),
    "time": pa.timestamp("us"),
    "null": pa.null(),
}


def table(text: str, base: Layout = ()) -> Layout:
    columns = {column.name.lower(): column for column in base}
    for line in text.strip().splitlines():
        name, kind, field = line.split()
        columns[name.lower()] = Column(name, TYPES[kind.rstrip("?")], field, kind.endswith("?"))
    return tuple(columns.values())


def era(eras: Mapping[int, Era], month: int) -> Era:
    """Return the era of a month given as an integer, such as 202101."""
    return eras[max(since for since in eras if since <= month)]


YELLOW_2009 = table("""
    vendor_name            string   vendor_word
    Trip_Pickup_DateTime   string   pickup
    Trip_Dropoff_DateTime  string   dropoff
    Passenger_Count        int64    passengers
    Trip_Distance          double   distance
    Start_Lon              double   start_lon
    Start_Lat              double   start_lat
    Rate_Code              double   nothing
    store_and_forward      double   flag_2009
    End_Lon                double   end_lon
    End_Lat                double   end_lat
    Payment_Type           string   payment_2009
    Fare_Amt               double   fare
    surcharge              double   extra
    mta_tax                double   mta_2009
    Tip_Amt                double   tip
    Tolls_Amt              double   tolls
    Total_Amt              double   total
""")
YELLOW_2010 = table("""
    vendor_id              string   vendor_word
    pickup_datetime        string   pickup
    dropoff_datetime       string   dropoff
    passenger_count        int64    passengers
    trip_distance          double   distance
    pickup_longitude       double   start_lon
    pickup_latitude        double   start_lat
    rate_code              string   rate
    store_and_fwd_flag     string   flag_2010
    dropoff_longitude      double   end_lon
    dropoff_latitude       double   end_lat
    payment_type           string   payment_2010
    fare_amount            double   fare
    surcharge              double   extra
    mta_tax                double   mta
    tip_amount             double   tip
    tolls_amount           double   tolls
    total_amount           double   total
""")
YELLOW_2011 = table("""
    VendorID               int64    vendor
    tpep_pickup_datetime   time     pickup
    tpep_dropoff_datetime  time     dropoff
    passenger_count        int64    passengers
    trip_distance          double   distance
    RatecodeID             int64    rate
    store_and_fwd_flag     string   flag
    PULocationID           int64    pu
    DOLocationID           int64    do
    payment_type           int64    payment
    fare_amount            double   fare
    extra                  double   extra
    mta_tax                double   mta
    tip_amount             double   tip
    tolls_amount           double   tolls
    improvement_surcharge  double   improvement
    total_amount           double   total
    congestion_surcharge   null     congestion
    airport_fee            null     airport
""")
YELLOW_2019 = table(
    """
    passenger_count        double?  passengers
    RatecodeID             double?  rate
    store_and_fwd_flag     string?  flag
    congestion_surcharge   double?  congestion
    """,
    YELLOW_2011,
)
YELLOW_2020 = table("airport_fee double? airport", YELLOW_2019)
YELLOW_2023 = table(
    """
    VendorID               int32    vendor
    passenger_count        int64?   passengers
    RatecodeID             int64?   rate
    store_and_fwd_flag     text?    flag
    PULocationID           int32    pu
    DOLocationID           int32    do
    Airport_fee            double?  airport
    """,
    YELLOW_2020,
)
YELLOW_2025 = table("VendorID int32 vendor_2025\ncbd_congestion_fee double cbd", YELLOW_2023)
YELLOW_2026 = table("request_source text request_source", YELLOW_2025)

GREEN_2013 = table("""
    VendorID               int64    vendor
    lpep_pickup_datetime   time     pickup
    lpep_dropoff_datetime  time     dropoff
    store_and_fwd_flag     string?  flag
    RatecodeID             double?  rate
    PULocationID           int64    pu
    DOLocationID           int64    do
    passenger_count        double?  passengers
    trip_distance          double   distance
    fare_amount            double   fare
    extra                  double   extra
    mta_tax                double   mta
    tip_amount             double   tip
    tolls_amount           double   tolls
    ehail_fee              null     nothing
    improvement_surcharge  double   improvement
    total_amount           double   total
    payment_type           double?  payment
    trip_type              double?  trip_type
    congestion_surcharge   double?  congestion
""")
GREEN_2019 = table("ehail_fee double nothing", GREEN_2013)
GREEN_2023 = table(
    """
    VendorID               int32    vendor
    store_and_fwd_flag     text?    flag
    RatecodeID             int64?   rate
    PULocationID           int32    pu
    DOLocationID           int32    do
    passenger_count        int64?   passengers
    ehail_fee              double   nothing
    payment_type           int64?   payment
    trip_type              int64?   trip_type
    """,
    GREEN_2013,
)
GREEN_2025 = table("VendorID int32 vendor_2025\ncbd_congestion_fee double cbd", GREEN_2023)
GREEN_2026 = table("request_source text request_source", GREEN_2025)

FHV_2015 = table("""
    dispatching_base_num   string   fhv_base
    pickup_datetime        time     pickup
    dropOff_datetime       time     dropoff
    PUlocationID           double   fhv_pu
    DOlocationID           double   fhv_do
    SR_Flag                null     shared
    Affiliated_base_number string   fhv_affiliated
""")
FHV_2017 = table("SR_Flag double shared", FHV_2015)
FHV_2019_05 = table("PUlocationID int64 pu\nDOlocationID int64 do", FHV_2015)
FHV_2020_07 = table("DOlocationID int64 do", FHV_2015)
FHV_2023 = table(
    """
    dispatching_base_num   text     fhv_base
    PUlocationID           int64    fhv_pu
    DOlocationID           int64    fhv_do
    SR_Flag                int64    shared
    Affiliated_base_number text     fhv_affiliated
    """,
    FHV_2015,
)

FHVHV_2019 = table("""
    hvfhs_license_num      string   license
    dispatching_base_num   string   hv_base
    originating_base_num   string   hv_origin
    request_datetime       time     request
    on_scene_datetime      time     on_scene
    pickup_datetime        time     pickup
    dropoff_datetime       time     dropoff
    PULocationID           int64    pu
    DOLocationID           int64    do
    trip_miles             double   miles
    trip_time              int64    seconds
    base_passenger_fare    double   fare
    tolls                  double   tolls
    bcf                    double   black_car_fund
    sales_tax              double   sales_tax
    congestion_surcharge   double   hv_congestion
    airport_fee            null     hv_airport
    tips                   double   hv_tip
    driver_pay             double   driver_pay
    shared_request_flag    string   seldom
    shared_match_flag      string   rarely
    access_a_ride_flag     string   access
    wav_request_flag       string   rarely
    wav_match_flag         null     seldom
""")
FHVHV_2019_04 = table("wav_match_flag string seldom", FHVHV_2019)
FHVHV_2019_07 = table("airport_fee double hv_airport", FHVHV_2019_04)
FHVHV_2023 = table(
    """
    hvfhs_license_num      text     license
    dispatching_base_num   text     hv_base
    originating_base_num   text     hv_origin
    PULocationID           int32    pu
    DOLocationID           int32    do
    shared_request_flag    text     seldom
    shared_match_flag      text     rarely
    access_a_ride_flag     text     access
    wav_request_flag       text     rarely
    wav_match_flag         text     seldom
    """,
    FHVHV_2019_07,
)
FHVHV_2025 = table("cbd_congestion_fee double hv_cbd", FHVHV_2023)

ERAS: dict[str, dict[int, Layout]] = {
    "yellow": {
        200901: YELLOW_2009,
        201001: YELLOW_2010,
        201101: YELLOW_2011,
        201901: YELLOW_2019,
        202008: YELLOW_2020,
        202010: YELLOW_2019,
        202011: YELLOW_2020,
        202302: YELLOW_2023,
        202501: YELLOW_2025,
        202606: YELLOW_2026,
    },
    "green": {
        201308: GREEN_2013,
        201901: GREEN_2019,
        201909: GREEN_2013,
        202302: GREEN_2023,
        202501: GREEN_2025,
        202606: GREEN_2026,
    },
    "fhv": {
        201501: FHV_2015,
        201707: FHV_2017,
        201903: FHV_2015,
        201905: FHV_2019_05,
        201907: FHV_2015,
        202007: FHV_2020_07,
        202008: FHV_2015,
        202302: FHV_2023,
    },
    "fhvhv": {
        201902: FHVHV_2019,
        201904: FHVHV_2019_04,
        201907: FHVHV_2019_07,
        202004: FHVHV_2019_04,
        202005: FHVHV_2019_07,
        202010: FHVHV_2019_04,
        202011: FHVHV_2019_07,
        202302: FHVHV_2023,
        202501: FHVHV_2025,
    },
}
