"""Keyed hashes of sensitive columns: HMAC-SHA256 in DuckDB."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from nyc_taxi.errors import InvalidInputError
from nyc_taxi.settings import settings
from nyc_taxi.storage.duckdb_engine import Database

MIN_KEY_LENGTH = 16
"""Characters; a shorter key could be guessed."""
_SHA256_BLOCK = 64


def check_hash_key(required_by: Path) -> None:
    """Raise InvalidInputError unless NYC_TAXI_HASH_KEY is set and long enough."""
    key = settings().hash_key
    if key is None:
        raise InvalidInputError(
            f"{required_by} hashes columns, but NYC_TAXI_HASH_KEY is not set; generate a secret "
            "with `openssl rand -hex 32`, add it to .env, and keep it: another key gives other "
            "hashes"
        )
    if len(key) < MIN_KEY_LENGTH:
        raise InvalidInputError(
            f"NYC_TAXI_HASH_KEY is shorter than {MIN_KEY_LENGTH} characters, so it could be "
            "guessed; generate one with `openssl rand -hex 32`"
        )


def define_keyed_hash(db: Database) -> None:
    """Define the macro `keyed_hash(text)`: hexadecimal, null for null. Needs NYC_TAXI_HASH_KEY.

    The key is passed as a parameter, so that no SQL text contains it.
    """
    secret = settings().hash_key
    if secret is None:
        return
    # https://www.rfc-editor.org/rfc/rfc2104, section 2; DuckDB has SHA-256 but not HMAC.
    key = secret.get_secret_value().encode()
    key = (sha256(key).digest() if len(key) > _SHA256_BLOCK else key).ljust(_SHA256_BLOCK, b"\0")
    for name, pad in (("inner_key", 0x36), ("outer_key", 0x5C)):
        db.execute(f"SET VARIABLE {name} = ?::BLOB", [bytes(byte ^ pad for byte in key)])
    inner = "unhex(sha256(getvariable('inner_key') || encode(value)))"
    db.execute(
        f"CREATE OR REPLACE TEMP MACRO keyed_hash(value) AS "
        f"sha256(getvariable('outer_key') || {inner})"
    )
