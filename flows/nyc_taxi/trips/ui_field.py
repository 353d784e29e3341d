"""What the form of the Prefect UI says and allows."""

from typing import Any

from pydantic import Field


def ui_field(text: str, **schema: Any) -> Any:
    """Describes a flow's parameter; `schema` is checked by the server before a run is made.

    Not `Field(description=...)`: Prefect puts the docstring's word for it, or none, in its place.
    """
    return Field(json_schema_extra={"description": text, **schema})
