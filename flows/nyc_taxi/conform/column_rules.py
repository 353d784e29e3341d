"""Column rules of a flow: types to change, and columns to hash or drop.

A flow's `config/` folder has two files:

    column_types.yaml       {table: {column: TYPE}}: overrides the type of a column
    sensitive_fields.yaml   {column: hash | drop}: in every table of the flow, before the lake

Both are optional. Column names are case-insensitive.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import yaml

from nyc_taxi.conform.casts import cast_column
from nyc_taxi.conform.column_names import normalize_name
from nyc_taxi.conform.hashing import check_hash_key
from nyc_taxi.errors import InvalidInputError
from nyc_taxi.storage.duckdb_engine import quoted
from nyc_taxi.trips.schemas import Column, Type

TYPES_FILE = "column_types.yaml"
FIELDS_FILE = "sensitive_fields.yaml"
TYPES: tuple[Type, ...] = get_args(Type)
Action = Literal["hash", "drop"]
ACTIONS: tuple[Action, ...] = get_args(Action)
T = TypeVar("T", bound=str)
Columns = tuple[tuple[str, str], ...]
"""(name, DuckDB type) of each column."""


@dataclass(frozen=True)
class Rules:
    """Rules of one folder. The keys of columns are normalized names."""

    folder: Path = Path("config")
    types: Mapping[str, Mapping[str, Type]] = field(default_factory=dict)
    """By table and column."""
    sensitive: Mapping[str, Action] = field(default_factory=dict)
    """By column."""

    def action(self, column: str) -> Action | None:
        return self.sensitive.get(normalize_name(column))

    def type(self, table: str, column: str) -> Type | None:
        return self.types.get(table, {}).get(normalize_name(column))

    def result_type(self, table: str, column: str, kind: str) -> str | None:
        """Return the type of a column after the rules; None if they drop it."""
        action = self.action(column)
        if action == "drop":
            return None
        return "VARCHAR" if action == "hash" else self.type(table, column) or kind

    def check_tables(self, tables: Iterable[str]) -> Rules:
        """Return the rules. Raises InvalidInputError if they name any other table."""
        known = list(tables)
        for table in self.types:
            if table not in known:
                raise self.error(
                    TYPES_FILE, f"there is no table {table!r}; use one of {', '.join(known)}"
                )
        return self

    def hash_any(self, columns: Iterable[str]) -> bool:
        return any(self.action(name) == "hash" for name in columns)

    def apply(
        self,
        table: str,
        columns: Iterable[tuple[str, str]],
        source: str,
        declared: Iterable[str] = (),
        elsewhere: Iterable[str] = (),
    ) -> tuple[str, Columns]:
        """Return a SELECT list that applies the rules to these columns, and the resulting columns.

        Raises InvalidInputError for a rule on a missing column, unless other files of this table
        have it (`declared`), or other tables do (`elsewhere`). `source` names the file or table in
        the message. Call `define_keyed_hash` before DuckDB runs the query.
        """
        columns = list(columns)
        names = list(dict(columns))
        in_table = {normalize_name(name) for name in (*names, *declared)}
        anywhere = in_table | {normalize_name(name) for name in elsewhere}
        for file, ruled, known in (
            (TYPES_FILE, self.types.get(table, {}), in_table),
            (FIELDS_FILE, self.sensitive, anywhere),
        ):
            if unknown := [name for name in ruled if name not in known]:
                raise self.error(
                    file, f"{source} has no column {unknown[0]!r}; it has {', '.join(names)}"
                )
        if self.hash_any(names):
            check_hash_key(self.folder / FIELDS_FILE)
        select, result = [], []
        for name, kind in columns:
            target = self.result_type(table, name, kind)
            if target is None:
                continue
            value = self._value_sql(table, name, kind, source)
            select.append(f"{value} AS {quoted(name)}")
            result.append((name, target))
        return ", ".join(select), tuple(result)

    def _value_sql(self, table: str, name: str, kind: str, source: str) -> str:
        value, rule = quoted(name), self.type(table, name)
        if self.action(name) == "hash":
            return f"keyed_hash(CAST({value} AS VARCHAR))"
        if rule is None:
            return value
        if rule == "VARCHAR":
            return f"CAST({value} AS VARCHAR)"
        return cast_column(Column(name, rule), name, kind, source)

    def error(self, file: str, reason: str) -> InvalidInputError:
        return InvalidInputError(f"{self.folder / file}: {reason}")


EMPTY_RULES = Rules()


def read_rules(folder: Path) -> Rules:
    """Read the rules of a folder. Raises InvalidInputError if a file is invalid or misnamed."""
    for path in sorted(folder.glob("*.y*ml")):
        similar = get_close_matches(path.name, (TYPES_FILE, FIELDS_FILE), 1)
        if similar and path.name not in (TYPES_FILE, FIELDS_FILE):
            raise InvalidInputError(f"{path} is not read; rename it to {similar[0]}")
    types = {}
    for table, columns in _read(folder / TYPES_FILE).items():
        if not re.fullmatch(r"[a-z_][a-z0-9_]*", table):
            raise InvalidInputError(
                f"{folder / TYPES_FILE}: {table!r} is not a valid table name; use lower-case "
                "letters, digits and _, such as yellow_rides"
            )
        location = f"{folder / TYPES_FILE}: {table}"
        types[table] = _check_values(location, _mapping(location, columns), TYPES, "type")
    sensitive = _check_values(
        str(folder / FIELDS_FILE), _read(folder / FIELDS_FILE), ACTIONS, "action"
    )
    for table, kinds in types.items():
        for name in kinds.keys() & sensitive.keys():
            raise InvalidInputError(
                f"{folder / TYPES_FILE}: {table}.{name} has a type, but {FIELDS_FILE} says "
                f"{sensitive[name]}; keep one of the two"
            )
    return Rules(folder, types, sensitive)


def _read(path: Path) -> Mapping[str, Any]:
    """Read a YAML mapping, with all scalars as texts; empty if the file does not exist."""
    try:
        text = path.read_bytes() if path.exists() else b""
        return _mapping(str(path), yaml.load(text, _Loader))
    except OSError as problem:
        raise InvalidInputError(f"{path} cannot be read: {problem.strerror}") from problem
    except (yaml.YAMLError, RecursionError) as problem:
        mark = getattr(problem, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        reason = getattr(problem, "problem", None) or str(problem).partition("\n")[0]
        raise InvalidInputError(f"{path}{line}: invalid YAML: {reason}") from problem


def _mapping(location: str, value: Any) -> Mapping[str, Any]:
    if value in (None, ""):
        return {}
    if not isinstance(value, dict):
        raise InvalidInputError(
            f"{location} holds {str(value)[:80]!r}; write lines such as `name: value`"
        )
    return value


def _check_values(
    location: str, values: Mapping[str, Any], allowed: tuple[T, ...], label: str
) -> Mapping[str, T]:
    """Return the values by normalized name. Raises InvalidInputError for a value not allowed."""
    for name, value in values.items():
        if value not in allowed:
            raise InvalidInputError(
                f"{location}: {name} has the {label} {str(value)[:80]!r}; "
                f"use one of {', '.join(allowed)}"
            )
    return {normalize_name(name): value for name, value in values.items()}


class _Loader(yaml.BaseLoader):
    """Loader that reads every scalar as a text, such as a column `no`, and rejects duplicates."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or not key.value:
                raise yaml.MarkedYAMLError(
                    problem="a name is not a text", problem_mark=key.start_mark
                )
            if normalize_name(key.value) in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"duplicate key {key.value}", problem_mark=key.start_mark
                )
            seen.add(normalize_name(key.value))
        return super().construct_mapping(node, deep)
