"""Description and constraints of a flow parameter in the Prefect UI."""

from typing import Any

from pydantic import Field


def ui_field(text: str, **schema: Any) -> Any:
    """Describe a flow parameter; the server validates `schema` before it creates a run.

    `Field(description=...)` would not do: Prefect overwrites it with the docstring's text.
    """
    return Field(json_schema_extra={"description": text, **schema})
