"""The Spark session of the tests: small, local, one per worker."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from nyc_taxi.errors import InvalidInputError
from nyc_taxi.storage.spark import spark_session
from tests.support.services import NO_SERVICE

PROPERTIES = """
spark.driver.memory 1g
spark.driver.extraJavaOptions -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Duser.timezone=Asia/Tokyo
spark.sql.shuffle.partitions 2
# Of a site with other habits; no result may depend on them.
spark.api.mode connect
spark.kryo.registrationRequired true
spark.serializer org.apache.spark.serializer.KryoSerializer
spark.sql.ansi.doubleQuotedIdentifiers true
spark.sql.ansi.enabled false
spark.sql.ansi.enforceReservedKeywords true
spark.sql.ansi.relationPrecedence true
spark.sql.caseSensitive = true
spark.sql.crossJoin.enabled false
spark.sql.cteRecursionLevelLimit 1
spark.sql.datetime.java8API.enabled true
spark.sql.decimalOperations.allowPrecisionLoss: false
spark.sql.extensions =
spark.sql.files.ignoreCorruptFiles true
spark.sql.files.ignoreMissingFiles true
spark.sql.groupByAliases false
spark.sql.groupByOrdinal false
spark.sql.lateralColumnAlias.enableImplicitResolution false
spark.sql.legacy.interval.enabled true
spark.sql.legacy.timeParserPolicy LEGACY
spark.sql.mapKeyDedupPolicy LAST_WIN
spark.sql.orderByOrdinal false
spark.sql.parquet.binaryAsString true
spark.sql.parquet.inferTimestampNTZ.enabled false
spark.sql.parquet.int96AsTimestamp false
spark.sql.parser.escapedStringLiterals true
spark.sql.parser.quotedRegexColumnNames true
spark.sql.session.timeZone Asia/Tokyo
spark.sql.sources.default csv
spark.sql.sources.partitionOverwriteMode dynamic
spark.sql.storeAssignmentPolicy LEGACY
spark.sql.timestampType TIMESTAMP_LTZ
spark.sql.variable.substitute false
spark.submit.deployMode cluster
"""


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """SparkSession on two cores; processes that a test starts get the same properties."""
    folder = tmp_path_factory.mktemp("spark")
    (folder / "spark-defaults.conf").write_text(PROPERTIES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_CONF_DIR", str(folder))
        patch.setenv("SPARK_MASTER", "local[2]")
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        patch.setenv("NYC_TAXI_DATA_DIR", os.environ.get("NYC_TAXI_DATA_DIR", str(folder)))
        try:
            with spark_session() as session:
                yield session
        except InvalidInputError as problem:
            pytest.skip(f"{NO_SERVICE}{problem}")
