"""DuckDB: dbt works in this process, on the file that the process holds open."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nyc_taxi.errors import InvalidInputError
from nyc_taxi.settings import from_root, settings
from nyc_taxi.storage.atomic_files import file_lock
from nyc_taxi.warehouses.base import DATASET
from nyc_taxi.warehouses.duckdb.warehouse import DuckDBWarehouse

BLOCK_SIZE = 262_144
"""Bytes of a block in a DuckDB file."""
SCHEMAS = (DATASET, "silver", "gold", "main", "temp", "system")
"""A file of such a name makes `silver.trips` ambiguous: DuckDB names the database after it."""


class DuckDBTarget:
    profile = "duckdb"

    @classmethod
    def from_address(cls, path: str) -> DuckDBTarget:
        target = cls(from_root(path))
        _check_name(target.file.path)
        return target

    def __init__(self, path: Path) -> None:
        self.warehouse = DuckDBWarehouse(path)
        self.file = self.warehouse.file
        self.name = str(path)

    @contextmanager
    def opened(self) -> Iterator[Mapping[str, str]]:
        """dbt's connections use the instance, and the limits, of the one that is open here.

        So no other program can lock the file before dbt does, nor between two of its nodes.
        """
        with self.file.open():
            try:
                yield {
                    "NYC_TAXI_DBT_PATH": str(self.file.path),
                    "NYC_TAXI_DBT_MEMORY": settings().memory,
                }
            finally:
                _close_dbt_connections()

    @contextmanager
    def lock(self) -> Iterator[None]:
        lock = file_lock(self.file.path.with_name(f"{self.file.path.name}.build"))
        with lock, self.file.held():
            yield

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with self.file.open() as db:
            return db.execute(sql).fetchall()

    def execute(self, *statements: str) -> None:
        with self.file.transaction() as db:
            for statement in statements:
                db.execute(statement)

    def drop(self, *tables: str) -> None:
        self.execute(*(f"DROP TABLE IF EXISTS {table}" for table in tables))

    def bytes(self, *tables: str) -> int:
        blocks = "SELECT count(DISTINCT block_id) FROM pragma_storage_info(?) WHERE block_id >= 0"
        with self.file.open() as db:
            used = [int(db.execute(blocks, [table]).fetchall()[0][0]) for table in tables]
        return sum(used) * BLOCK_SIZE

    def maintain(self) -> str:
        """Write the log into the file; the blocks of dropped tables are used again."""
        with self.file.open() as db:
            db.execute("VACUUM ANALYZE")
            db.execute("CHECKPOINT")
            [(blocks, free)] = db.execute(
                "SELECT total_blocks, free_blocks FROM pragma_database_size()"
            ).fetchall()
        return (
            f"{self.file.path}: CHECKPOINT, ANALYZE; {blocks * BLOCK_SIZE:,} bytes, "
            f"{free * BLOCK_SIZE:,} of them free"
        )


def _check_name(path: Path) -> None:
    """Raise InvalidInputError for a file that dbt-duckdb takes for another one."""
    if path.name.lstrip(".").partition(".")[0].lower() in SCHEMAS:
        problem = f"the file with silver and gold cannot be named {', '.join(SCHEMAS)}"
    elif re.search(r"""[#?]|['";][^/]*$""", str(path)):
        problem = "dbt cannot open a path with # or ?, or a file name with a quote or semicolon"
    else:
        return
    raise InvalidInputError(
        f"{path}: {problem}; rename it, and set NYC_TAXI_WAREHOUSE=duckdb:data/warehouse.duckdb"
    )


def _close_dbt_connections() -> None:
    """Close what dbt-duckdb keeps open, and the file locked, until the process ends."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager  # imports dbt

    manager: Any = DuckDBConnectionManager
    if manager._ENV is not None:
        manager._ENV.close()
    manager.close_all_connections()
