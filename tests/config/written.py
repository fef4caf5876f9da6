"""Sections as their schemas say that they are."""

from typing import Any


def defaults(schema: Any) -> dict[str, Any]:
    """Every default of a schema of a section, as the section would be written."""
    found: dict[str, Any] = {}
    for key, value in schema["properties"].items():
        if "default" in value:
            found[key] = value["default"]
        elif "properties" in value:
            found[key] = defaults(value)
    return found
