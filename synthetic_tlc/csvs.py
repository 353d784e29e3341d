"""Headers and quirks of the CSV files that the TLC published until 2021."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from synthetic_tlc.eras import (
    FHV_2015,
    FHVHV_2019,
    GREEN_2013,
    YELLOW_2009,
    YELLOW_2010,
    YELLOW_2011,
    Layout,
)

LAST_CSV = (2021, 12)


class Csv(NamedTuple):
    """CSV format of one era: `gap` follows the header, `commas` end every row.

    Column names map to fields as in `like`, the Parquet layout, unless `fields` overrides them.
    """

    header: str
    like: Layout
    gap: str = ""
    commas: int = 0
    quoted: bool = False
    fields: Mapping[str, str] = {}


def names(layout: Layout, separator: str = ",") -> str:
    return separator.join(column.name for column in layout)


YELLOW_2015_CSV = (
    "VendorID,tpep_pickup_datetime,tpep_dropoff_datetime,passenger_count,trip_distance,"
    "pickup_longitude,pickup_latitude,RatecodeID,store_and_fwd_flag,dropoff_longitude,"
    "dropoff_latitude,payment_type,fare_amount,extra,mta_tax,tip_amount,tolls_amount,"
    "improvement_surcharge,total_amount"
)
YELLOW_2016_CSV = names(YELLOW_2011[:-2])
YELLOW_2019_CSV = names(YELLOW_2011[:-1])
GREEN_2013_CSV = (
    "VendorID,lpep_pickup_datetime,Lpep_dropoff_datetime,Store_and_fwd_flag,RateCodeID,"
    "Pickup_longitude,Pickup_latitude,Dropoff_longitude,Dropoff_latitude,Passenger_count,"
    "Trip_distance,Fare_amount,Extra,MTA_tax,Tip_amount,Tolls_amount,Ehail_fee,Total_amount,"
    "Payment_type,Trip_type "
)
GREEN_2015_CSV = GREEN_2013_CSV.replace("Ehail_fee", "Ehail_fee,improvement_surcharge")
GREEN_2019_CSV = names(GREEN_2013)
GREEN_2016_CSV = GREEN_2019_CSV.removesuffix(",congestion_surcharge")
FHV_2017_CSV = "Dispatching_base_num,Pickup_DateTime,DropOff_datetime,PUlocationID,DOlocationID"
FHV_2018_CSV = (
    "Pickup_DateTime,DropOff_datetime,PUlocationID,DOlocationID,SR_Flag,"
    "Dispatching_base_number,Dispatching_base_num"
)
FHV_2019_CSV = (
    "dispatching_base_num,pickup_datetime,dropoff_datetime,PULocationID,DOLocationID,SR_Flag"
)

CSVS: dict[str, dict[int, Csv]] = {
    "yellow": {
        200901: Csv(names(YELLOW_2009), YELLOW_2009, gap="\r\n"),
        201001: Csv(names(YELLOW_2010), YELLOW_2010, gap="\r\n"),
        201401: Csv(names(YELLOW_2010, ", "), YELLOW_2010, gap="\r\n"),
        201501: Csv(YELLOW_2015_CSV, YELLOW_2011),
        201607: Csv(YELLOW_2016_CSV, YELLOW_2011, commas=2),
        201701: Csv(YELLOW_2016_CSV, YELLOW_2011, gap="\r\n"),
        201901: Csv(YELLOW_2019_CSV, YELLOW_2011),
    },
    "green": {
        201308: Csv(GREEN_2013_CSV, GREEN_2013, gap="\n\r\n", commas=2),
        201501: Csv(GREEN_2015_CSV, GREEN_2013, commas=2),
        201607: Csv(GREEN_2016_CSV, GREEN_2013, gap="\r\n", commas=2),
        201701: Csv(GREEN_2016_CSV, GREEN_2013, gap="\r\n"),
        201901: Csv(GREEN_2019_CSV, GREEN_2013),
    },
    "fhv": {
        201501: Csv("Dispatching_base_num,Pickup_date,locationID", FHV_2015),
        201701: Csv(FHV_2017_CSV, FHV_2015),
        201707: Csv(FHV_2017_CSV + ",SR_Flag", FHV_2015, quoted=True),
        201801: Csv(
            FHV_2018_CSV, FHV_2015, quoted=True, fields={"dispatching_base_num": "nothing"}
        ),
        201901: Csv(FHV_2019_CSV, FHV_2015),
    },
    "fhvhv": {201902: Csv("hvfhs_license_num," + FHV_2019_CSV, FHVHV_2019)},
}

# Fields of column names that only occur in CSV files.
CSV_NAMES = {
    "pickup_longitude": "start_lon",
    "pickup_latitude": "start_lat",
    "dropoff_longitude": "end_lon",
    "dropoff_latitude": "end_lat",
    "pickup_date": "pickup",
    "locationid": "fhv_pu",
    "dispatching_base_number": "fhv_base",
    "sr_flag": "shared",
}


def csv_fields(form: Csv) -> list[str]:
    """Return the field of each column, in the order of the header."""
    like = {column.name.lower(): column.field for column in form.like}
    known = CSV_NAMES | like | dict(form.fields)
    return [known[name.strip().lower()] for name in form.header.split(",")]
