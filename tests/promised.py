"""What the OpenAPI document promises of an answer, held against answers that really came."""

from __future__ import annotations

import functools
import re
from typing import Any

import jsonschema

from faas.api import app, openapi


@functools.cache
def document() -> dict[str, Any]:
    """The document of the control API."""
    return openapi.document(app.TABLE, "0")


def hold(method: str, path: str, status: int, value: Any) -> None:
    """Fail when the document does not name this status for this route, or another shape of its JSON."""
    template = next((each for each in document()["paths"] if _matches(each, path)), None)
    operation = document()["paths"].get(template, {}).get(method.lower())
    if operation is None:  # no such path or method: only the shape of errors is promised
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}}
    else:
        assert str(status) in operation["responses"], f"{method} {path} is not documented to answer {status}: {value}"
        content = operation["responses"][str(status)]["content"]
    if method == "HEAD":  # an answer to it has no body
        assert value is None
        return
    schema = content["application/json"]["schema"]
    jsonschema.validate(value, {**schema, "components": document()["components"]})


def _matches(template: str, path: str) -> bool:
    return re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path.partition("?")[0]) is not None
