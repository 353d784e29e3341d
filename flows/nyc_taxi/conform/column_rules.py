"""What the files in a flow's `config/` want of its tables.

    column_types.yaml       {table: {column: TYPE}}: instead of the type it would have
    sensitive_fields.yaml   {column: hash | drop}: in every table of the flow, before the lake

No file, or an empty one, changes nothing. Case does not matter in the names of columns.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import yaml

from nyc_taxi.conform.casts import cast
from nyc_taxi.conform.column_names import normalize_name
from nyc_taxi.errors import InvalidInputError
from nyc_taxi.settings import settings
from nyc_taxi.storage.duckdb_engine import Database, quoted
from nyc_taxi.trips.schemas import Column, Type

TYPES_FILE = "column_types.yaml"
FIELDS_FILE = "sensitive_fields.yaml"
TYPES: tuple[Type, ...] = get_args(Type)
Action = Literal["hash", "drop"]
ACTIONS: tuple[Action, ...] = get_args(Action)
SHORTEST = 16
"""Characters of a key that nobody guesses."""
T = TypeVar("T", bound=str)
Columns = tuple[tuple[str, str], ...]
"""Names and DuckDB types."""


@dataclass(frozen=True)
class Rules:
    folder: Path = Path("config")
    types: Mapping[str, Mapping[str, Type]] = field(default_factory=dict)
    """By table and column, as `normalize_name` has it."""
    sensitive: Mapping[str, Action] = field(default_factory=dict)
    """By column, as `normalize_name` has it."""

    def action(self, column: str) -> Action | None:
        return self.sensitive.get(normalize_name(column))

    def type(self, table: str, column: str) -> Type | None:
        return self.types.get(table, {}).get(normalize_name(column))

    def result(self, table: str, column: str, kind: str) -> str | None:
        """The type that the rules make of a column of this type; None where they drop it."""
        action = self.action(column)
        if action == "drop":
            return None
        return "VARCHAR" if action == "hash" else self.type(table, column) or kind

    def of_tables(self, tables: Iterable[str]) -> Rules:
        """Themselves, once they name no table but these."""
        known = list(tables)
        for table in self.types:
            if table not in known:
                raise self.refused(
                    TYPES_FILE, f"there is no table {table!r}; name one of {', '.join(known)}"
                )
        return self

    def hashes(self, columns: Iterable[str]) -> bool:
        return any(self.action(name) == "hash" for name in columns)

    def follow(
        self,
        table: str,
        columns: Iterable[tuple[str, str]],
        of: str,
        declared: Iterable[str] = (),
        elsewhere: Iterable[str] = (),
    ) -> tuple[str, Columns]:
        """Return the SELECT list that applies the rules to these columns, and its columns.

        Raises InvalidInputError for a rule on a missing column, unless other files of this table
        have it (`declared`), or other tables (`elsewhere`). `of` names the file or table in the
        message. Call `prepare` before DuckDB runs the list.
        """
        columns = list(columns)
        here = {normalize_name(name) for name in (*dict(columns), *declared)}
        anywhere = here | {normalize_name(name) for name in elsewhere}
        for file, names, known in (
            (TYPES_FILE, self.types.get(table, {}), here),
            (FIELDS_FILE, self.sensitive, anywhere),
        ):
            if strange := [name for name in names if name not in known]:
                raise self.refused(
                    file, f"{of} has no column {strange[0]!r}; it has {', '.join(dict(columns))}"
                )
        if self.hashes(name for name, _ in columns):
            hash_key(self.folder / FIELDS_FILE)
        select, made = [], []
        for name, kind in columns:
            action, value = self.action(name), quoted(name)
            if action == "drop":
                continue
            if action == "hash":
                value, kind = f"keyed_hash(CAST({value} AS VARCHAR))", "VARCHAR"
            elif wanted := self.type(table, name):
                if wanted == "VARCHAR":
                    value = f"CAST({value} AS VARCHAR)"
                else:
                    value = cast(Column(name, wanted), name, kind, of)
                kind = wanted
            select.append(f"{value} AS {quoted(name)}")
            made.append((name, kind))
        return ", ".join(select), tuple(made)

    def refused(self, file: str, why: str) -> InvalidInputError:
        return InvalidInputError(f"{self.folder / file}: {why}")


EMPTY_RULES = Rules()


def hash_key(wanted_by: Path) -> str:
    """NYC_TAXI_HASH_KEY. Raises InvalidInputError where it is not set."""
    key = settings().hash_key
    if key is None:
        raise InvalidInputError(
            f"{wanted_by} hashes columns, and NYC_TAXI_HASH_KEY is not set; put a secret into "
            ".env (openssl rand -hex 32 makes one) and keep it: another key makes other hashes"
        )
    if len(key) < SHORTEST:
        raise InvalidInputError(
            f"NYC_TAXI_HASH_KEY is shorter than {SHORTEST} characters, and so could be guessed; "
            "openssl rand -hex 32 makes one"
        )
    return key.get_secret_value()


def define_keyed_hash(db: Database) -> None:
    """Let DuckDB hash: HMAC-SHA256 in hex, null for null. The key is in no SQL text."""
    key = settings().hash_key
    if key is None:
        return
    # https://www.rfc-editor.org/rfc/rfc2104, section 2; DuckDB has SHA-256, but no HMAC.
    block = key.get_secret_value().encode()
    block = (sha256(block).digest() if len(block) > 64 else block).ljust(64, b"\0")
    for name, pad in (("inner_key", 0x36), ("outer_key", 0x5C)):
        db.execute(f"SET VARIABLE {name} = ?::BLOB", [bytes(byte ^ pad for byte in block)])
    inner = "unhex(sha256(getvariable('inner_key') || encode(value)))"
    db.execute(
        f"CREATE OR REPLACE TEMP MACRO keyed_hash(value) AS "
        f"sha256(getvariable('outer_key') || {inner})"
    )


def read_rules(folder: Path) -> Rules:
    """Read both files of the folder. Raises InvalidInputError for what no flow could follow."""
    for path in sorted(folder.glob("*.y*ml")):
        meant = get_close_matches(path.name, (TYPES_FILE, FIELDS_FILE), 1)
        if meant and path.name not in (TYPES_FILE, FIELDS_FILE):
            raise InvalidInputError(f"{path} is not read; call it {meant[0]}")
    types = {}
    for table, columns in _read(folder / TYPES_FILE).items():
        if not re.fullmatch(r"[a-z_][a-z0-9_]*", table):
            raise InvalidInputError(
                f"{folder / TYPES_FILE}: no table can be called {table!r}; use lower-case letters, "
                "digits and _, such as yellow_rides"
            )
        where = f"{folder / TYPES_FILE}: {table}"
        types[table] = _chosen(where, _mapping(where, columns), TYPES, "type")
    sensitive = _chosen(
        str(folder / FIELDS_FILE), _read(folder / FIELDS_FILE), ACTIONS, "thing to do"
    )
    for table, kinds in types.items():
        for name in kinds.keys() & sensitive.keys():
            raise InvalidInputError(
                f"{folder / TYPES_FILE}: {table}.{name} has a type, and {FIELDS_FILE} says "
                f"{sensitive[name]}; keep one of the two"
            )
    return Rules(folder, types, sensitive)


def _read(path: Path) -> Mapping[str, Any]:
    """What the file holds, texts all of it; nothing where there is no file."""
    try:
        text = path.read_bytes() if path.exists() else b""
        return _mapping(str(path), yaml.load(text, _Strict))
    except OSError as problem:
        raise InvalidInputError(f"{path} cannot be read: {problem.strerror}") from problem
    except (yaml.YAMLError, RecursionError) as problem:
        mark = getattr(problem, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        what = getattr(problem, "problem", None) or str(problem).partition("\n")[0]
        raise InvalidInputError(f"{path}{line} is no YAML that can be meant: {what}") from problem


def _mapping(where: str, given: Any) -> Mapping[str, Any]:
    if given in (None, ""):
        return {}
    if not isinstance(given, dict):
        raise InvalidInputError(
            f"{where} holds {str(given)[:80]!r}; write lines like `name: value` there"
        )
    return given


def _chosen(
    where: str, given: Mapping[str, Any], allowed: tuple[T, ...], what: str
) -> Mapping[str, T]:
    """Return the allowed value given for each column, by normalized name."""
    for name, value in given.items():
        if value not in allowed:
            raise InvalidInputError(
                f"{where}: {name} has the {what} {str(value)[:80]!r}; "
                f"write one of {', '.join(allowed)}"
            )
    return {normalize_name(name): value for name, value in given.items()}


class _Strict(yaml.BaseLoader):
    """Takes all scalars for texts, so that a column may be called `no`, and no key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or not key.value:
                raise yaml.MarkedYAMLError(problem="a name is no text", problem_mark=key.start_mark)
            if normalize_name(key.value) in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"{key.value} is there twice", problem_mark=key.start_mark
                )
            seen.add(normalize_name(key.value))
        return super().construct_mapping(node, deep)
