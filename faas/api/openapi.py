"""The OpenAPI 3.1 document, made from the route table and the msgspec structs it names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, get_type_hints

import msgspec

from faas.api import middleware, routes, schemas

_REF = "#/components/schemas/{name}"
_ALWAYS = (400, 401, 429, 500, 503)
"""Errors that any route may answer; 400 because queries are checked everywhere."""
_ALWAYS_IF_OPEN = (400, 500)
"""The same of routes that need no token, which touch neither Redis nor SQL."""
_PATH_PARAMETER = re.compile(r"\{(\w+)(?::[^{}]*)?\}")


def document(table: Iterable[routes.Route], version: str) -> dict[str, Any]:
    """The whole document, ready for JSON."""
    rows = list(table)
    schema_of, components = _schemas(rows)
    paths: dict[str, dict[str, Any]] = {}
    for row in rows:
        paths.setdefault(path(row), {})[row.method.lower()] = _operation(row, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {"title": "faas control API", "version": version, "license": {"name": "Apache-2.0"}},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def path(row: routes.Route) -> str:
    """A route's path in the notation of OpenAPI: ``{key:.+}`` becomes ``{key}``."""
    return _PATH_PARAMETER.sub(r"{\1}", row.path)


def _schemas(rows: list[routes.Route]) -> tuple[dict[Any, dict[str, Any]], dict[str, Any]]:
    kinds: list[Any] = [schemas.failures.ErrorBody]
    for row in rows:
        bodies = [response.type for response in row.responses] + ([row.body.type] if row.body else [])
        queries = [hint for _, hint in _query_fields(row)]
        kinds += [kind for kind in (*bodies, *queries) if kind is not None and kind not in kinds]
    # All at once, so that what several routes share is described once.
    found, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    return dict(zip(kinds, found, strict=True)), dict(components)


def _operation(row: routes.Route, schema_of: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    operation: dict[str, Any] = {"summary": row.summary, "operationId": row.handler.__name__}
    parameters = [*_in_path(row), *_in_query(row, schema_of), *_in_headers(row)]
    if parameters:
        operation["parameters"] = parameters
    if row.body is not None:
        operation["requestBody"] = _request_body(row.body, schema_of)
    if row.path in middleware.OPEN_PATHS:
        operation["security"] = []
    operation["responses"] = {str(response.status): _response(response, schema_of) for response in row.responses}
    operation["responses"].update(_errors(row, schema_of))
    return operation


def _request_body(body: routes.Body, schema_of: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    schema = schema_of.get(body.type, {})
    return {"required": body.required, "description": body.description, "content": {body.media: {"schema": schema}}}


def _response(response: routes.Response, schema_of: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    if response.status == HTTPStatus.NO_CONTENT:
        return {"description": response.description}
    return {
        "description": response.description,
        "content": {response.media: {"schema": schema_of.get(response.type, {})}},
    }


def _errors(row: routes.Route, schema_of: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    content = {routes.JSON: {"schema": schema_of[schemas.failures.ErrorBody]}}
    always = _ALWAYS_IF_OPEN if row.path in middleware.OPEN_PATHS else _ALWAYS
    statuses = sorted({*always, *row.errors})
    return {str(status): {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def _in_path(row: routes.Route) -> list[dict[str, Any]]:
    names = [match[1] for match in _PATH_PARAMETER.finditer(row.path)]
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _in_query(row: routes.Route, schema_of: dict[Any, dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"name": field.encode_name, "in": "query", "required": field.required, "schema": schema_of[hint]}
        for field, hint in _query_fields(row)
    ]


def _query_fields(row: routes.Route) -> list[tuple[msgspec.structs.FieldInfo, Any]]:
    hints = get_type_hints(row.query, include_extras=True)
    return [(field, hints[field.name]) for field in msgspec.structs.fields(row.query)]


def _in_headers(row: routes.Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "header", "required": False, "description": text, "schema": {"type": "string"}}
        for name, text in row.headers.items()
    ]
