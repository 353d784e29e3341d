"""The SQL that dbt ran for all models and tests, in one DuckDB process without dbt."""

from pathlib import Path

import duckdb


def run(warehouse: Path, statements: Path) -> None:
    with duckdb.connect(str(warehouse)) as db:
        db.execute("SET preserve_insertion_order = false")
        db.execute("CREATE SCHEMA silver; CREATE SCHEMA gold")
        for path in sorted(statements.glob("*.sql")):
            db.execute(path.read_text()).fetchall()
