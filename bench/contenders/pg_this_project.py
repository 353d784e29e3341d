"""This project: binary COPY into a staging table, index, ANALYZE and swap."""

import os
from pathlib import Path

from prefect_sqlalchemy import SqlAlchemyConnector

from nyc_taxi.trips.months import TripMonth
from nyc_taxi.warehouses.postgres.addresses import components
from nyc_taxi.warehouses.postgres.connection import Database
from nyc_taxi.warehouses.postgres.warehouse import PostgresWarehouse


def run(clean: Path) -> None:
    connector = SqlAlchemyConnector(connection_info=components(os.environ["POSTGRES_URL"]))
    warehouse = PostgresWarehouse(Database(connector, "POSTGRES_URL"))
    warehouse.replace_month(TripMonth("yellow", 2021, 1), clean, {})
