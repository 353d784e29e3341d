"""The views of trips, where the catalog has views."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nyc_taxi.trips.rides_view import TABLES, rides_views
from nyc_taxi.warehouses.base import DATASET
from nyc_taxi.warehouses.spark.columns import literal
from nyc_taxi.warehouses.spark.tables import columns

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def replace_rides_views(spark: SparkSession, catalog: str) -> None:
    """Create or update `rides` and `rides_labeled`, if the catalog has views."""
    if not has_views(spark, catalog):
        return
    schema = f"{catalog}.{DATASET}"
    there = {row["tableName"] for row in spark.sql(f"SHOW TABLES IN {schema}").collect()}
    tables = {name: columns(spark, f"{schema}.{name}") for name in there.intersection(TABLES)}
    for view in rides_views(tables, lambda table: f"{schema}.{table}"):
        texts = ", ".join(
            f"{name} COMMENT {literal(text)}" for name, text in view.comments.columns.items()
        )
        spark.sql(
            f"CREATE OR REPLACE VIEW {schema}.{view.name} ({texts})"
            f" COMMENT {literal(view.comments.table)} AS {view.query}"
        )


def has_views(spark: SparkSession, catalog: str) -> bool:
    """Return whether the catalog can store views: Iceberg's Hadoop catalog cannot."""
    loaded: Any = spark._jsparkSession.sessionState().catalogManager().catalog(catalog)
    backing = loaded.icebergCatalog()
    return bool(
        spark._jvm.java.lang.Class.forName("org.apache.iceberg.catalog.ViewCatalog").isInstance(
            backing
        )
    )
