"""POSTGRES_URL and the block: accepted forms, and one-line errors without a password."""

from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from prefect_sqlalchemy import ConnectionComponents, SqlAlchemyConnector, SyncDriver

from local_services import ServiceStartError
from local_services.postgres import PostgresServer
from nyc_taxi.errors import InvalidInputError, NycTaxiError, StorageError
from nyc_taxi.warehouses.postgres.addresses import BLOCK, components
from nyc_taxi.warehouses.postgres.connection import find_database
from tests.support.processes import start


class TestAddresses:
    """Forms of POSTGRES_URL, and one-line errors for invalid ones."""

    def connect(self) -> None:
        find_database().check()

    def test_password_with_special_characters_connects(
        self, own_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        password = "p@ss:w/rd%?#[]"
        own_postgres.psql(f"CREATE ROLE odd LOGIN SUPERUSER PASSWORD '{password}'")
        for scheme in ("postgresql", "postgres", "postgresql+psycopg2"):
            url = f"{scheme}://odd:{quote(password, safe='')}@127.0.0.1:{own_postgres.port}/ny_taxi"
            monkeypatch.setenv("POSTGRES_URL", url)
            self.connect()
        own_postgres.psql("DROP ROLE odd")

    def test_unix_socket_connects(
        self, own_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        encoded = quote(str(own_postgres.folder), safe="")
        for url in (
            own_postgres.socket_url,
            own_postgres.socket_url.replace("postgresql:", "postgresql+psycopg2:"),
            f"postgresql://root:root@{encoded}:{own_postgres.port}/ny_taxi",
        ):
            monkeypatch.setenv("POSTGRES_URL", url)
            self.connect()

    @pytest.mark.few(2)
    @pytest.mark.parametrize(
        ("part", "line"),
        [
            ({"password": "wr@ng"}, "password authentication failed for user"),
            ({"host": "no-such-host.invalid"}, "could not translate host name"),
            ({"port": "1"}, "Connection refused"),
            ({"database": "none"}, 'database "none" does not exist'),
        ],
    )
    def test_unreachable_address_is_reported(
        self,
        own_postgres: PostgresServer,
        monkeypatch: pytest.MonkeyPatch,
        part: dict[str, str],
        line: str,
    ) -> None:
        url = urlsplit(own_postgres.url)
        parts = {"password": "root", "host": "127.0.0.1", "port": url.port, "database": "ny_taxi"}
        parts |= {name: quote(value, safe="") for name, value in part.items()}
        monkeypatch.setenv(
            "POSTGRES_URL", "postgresql://root:{password}@{host}:{port}/{database}".format(**parts)
        )
        with pytest.raises(StorageError) as problem:
            self.connect()
        message = str(problem.value)
        assert line in message
        assert "check POSTGRES_URL, or start a local one with `make postgres`" in message
        assert "\n" not in message
        assert "wr@ng" not in message

    @pytest.mark.parametrize("name", ["pgbouncer", "schema", "ssl"])
    def test_parameter_of_another_client_is_named(self, name: str) -> None:
        """The error blamed the password."""
        for login in ("", "a:s3c%40ret@"):
            with pytest.raises(
                InvalidInputError, match=f"the parameter {name}, .*sslmode"
            ) as error:
                components(f"postgresql://{login}b:5432/c?sslmode=require&{name}=require")
            assert "s3c" not in str(error.value)
        with pytest.raises(InvalidInputError, match="not a valid URL"):
            components(f"postgresql://a:s3/?{name}=x@b/c")

    def test_surrounding_blanks_are_ignored(self) -> None:
        assert components(" postgresql://a:b@c/d\n").database == "d"

    def test_block_of_another_database_is_rejected(self, prefect_server: None) -> None:
        sqlite = ConnectionComponents(driver=SyncDriver.SQLITE_PYSQLITE, database="trips.db")
        SqlAlchemyConnector(connection_info=sqlite).save("of-sqlite")
        with pytest.raises(InvalidInputError, match="of-sqlite is for sqlite, not PostgreSQL"):
            find_database("of-sqlite")

    @pytest.mark.parametrize(
        "url", ["nonsense", "mysql://a:s3cret@b/c", "postgresql://a:s3@c:r@t/d"]
    )
    def test_invalid_url_is_rejected_without_its_password(self, url: str) -> None:
        with pytest.raises(
            InvalidInputError, match="POSTGRES_URL is not a valid URL; write"
        ) as problem:
            components(url)
        assert "s3" not in str(problem.value)

    def test_missing_block_and_url_are_reported(
        self, prefect_server: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("POSTGRES_URL", "")
        with pytest.raises(
            InvalidInputError, match=r"`make postgres` .* or set POSTGRES_URL=.*block\.py"
        ):
            find_database()

    def test_port_in_use_is_reported(self, own_postgres: PostgresServer, tmp_path: Path) -> None:
        with pytest.raises(
            ServiceStartError, match=f"port {own_postgres.port} is in use .* POSTGRES_PORT="
        ):
            PostgresServer(tmp_path / "second", own_postgres.port).up()


@pytest.mark.slow
def test_block_takes_precedence_over_the_url(own_postgres: PostgresServer) -> None:
    """The script creates and updates the block, and does not print its password."""
    secret = quote("p@ss:w/rd", safe="")
    own_postgres.psql("CREATE ROLE blocked LOGIN PASSWORD 'p@ss:w/rd'")
    address = f"127.0.0.1:{own_postgres.port}/ny_taxi"
    whole = (f"postgresql://blocked:{secret}@{address}", "ignored", "ignored")
    parts = (f"postgresql://{address}", "blocked", "p@ss:w/rd")
    try:
        for url, user, password in (whole, parts, whole):
            with start(
                "blocks/make_postgres_block.py",
                POSTGRES_URL=url,
                PGUSER=user,
                PGPASSWORD=password,
            ) as run:
                output = run.communicate()[0]
            assert run.returncode == 0, output
            assert f"127.0.0.1:{own_postgres.port}, database ny_taxi, user blocked" in output
            assert "p@ss" not in output and secret not in output
            with find_database().session() as db:
                db.execute("SELECT current_user")
                assert db.fetchall() == [("blocked",)]
    finally:
        SqlAlchemyConnector.delete(BLOCK)


def test_old_server_is_rejected(
    own_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Raises the minimum version instead of installing an old server."""
    monkeypatch.setenv("POSTGRES_URL", own_postgres.url)
    monkeypatch.setattr("nyc_taxi.warehouses.postgres.connection.MIN_SERVER_VERSION", 99)
    with pytest.raises(StorageError, match=r"is version 18\.\d.*; use version 99 or newer"):
        find_database().check()


class TestSecrets:
    def test_connection_error_hides_secrets(
        self, own_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Some messages of libpq quote parts of the URL."""
        host = f"127.0.0.1:{own_postgres.port}"
        for url in (
            f"postgresql://root:s3cr3t-pw@{host}/ny_taxi",
            f"postgresql://root:s3cr3t-pw@{host}/ny_taxi?sslmode=s3cr3t-pw",
            f"postgresql://{host}/ny_taxi?user=root&password=s3cr3t-pw&sslmode=s3cr3t-pw",
            f"postgresql://root:s3cr3t-pw@{host}/ny_taxi?sslpassword=t0k3n&sslmode=t0k3n",
            f"postgresql://root:s3cr3t-pw@{host}/ny_taxi?nonsense=s3cr3t-pw",
        ):
            monkeypatch.setenv("POSTGRES_URL", url)
            with pytest.raises(NycTaxiError) as problem:
                find_database().check()
            assert "s3cr3t" not in str(problem.value) and "t0k3n" not in str(problem.value)
            assert isinstance(problem.value, StorageError | InvalidInputError)
