"""The control API, from its OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from faas.api import app, openapi
from faas.cli.reference import markdown

_INTRO = (
    "It listens on port 8081 unless `api_port` says otherwise or that is taken; the address is in `faas up --json` and "
    "`faas status`. Every request but `GET /healthz` needs the header `Authorization: Bearer TOKEN`; `faas up` writes "
    "the token to the file `token` of the data directory, which only its owner can read. A browser has "
    "a session: a cookie, given by `POST /api/v1/login`, whose changes need the header `Faas-Page: 1` and the own "
    "`Origin`. An invocation may be named by any beginning of its id, of at least four characters, that no other has. "
    "Errors have [one shape](errors.md). The OpenAPI 3.1 document that this page is made from is at "
    "`/api/v1/openapi.json`.",
    '```sh\ncurl -H "Authorization: Bearer $(cat ~/.faas/token)" http://127.0.0.1:8081/api/v1/functions\n```',
)
_TYPES = {"integer": "integer", "number": "number", "string": "text", "boolean": "boolean", "null": "null"}


def page() -> str:
    """The whole page."""
    document = openapi.document(app.TABLE, version="")
    operations = [
        (f"{method.upper()} {path}", of) for path, row in document["paths"].items() for method, of in row.items()
    ]
    parts = [markdown.table(("request", "what it does"), [(f"`{name}`", of["summary"]) for name, of in operations])]
    for name, operation in operations:
        parts += _operation(name, operation)
    return markdown.page("Control API", [*_INTRO, *parts, *_bodies(document["components"]["schemas"])])


def _operation(name: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"## {name}"
    yield operation["summary"]
    rows = [
        (f"`{each['name']}`", each["in"], _type(each["schema"]), _said(each["schema"], each))
        for each in operation.get("parameters", ())
    ]
    yield markdown.table(("parameter", "in", "type", "meaning"), rows)
    if body := operation.get("requestBody"):
        yield f"Body: {', '.join(f'`{media}`' for media in body['content'])}. {body['description']}"
    answers = [_answer(*each) for each in operation["responses"].items() if int(each[0]) < 400]
    yield markdown.table(("answer", "body", "meaning"), answers)
    failures = [
        f"{status} {each['description']}" for status, each in operation["responses"].items() if int(status) >= 400
    ]
    yield f"Errors: {', '.join(failures)}."


def _answer(status: str, response: dict[str, Any]) -> tuple[str, ...]:
    bodies = [
        _type(each["schema"]) if each["schema"] else f"`{media}`" for media, each in response.get("content", {}).items()
    ]
    return status, ", ".join(bodies), response["description"]


def _bodies(components: dict[str, Any]) -> Iterator[str]:
    yield "## Bodies"
    for name, schema in sorted(components.items()):
        yield f"### {name}"
        yield markdown.words(schema.get("description"))
        if "enum" in schema:
            yield f"One of {', '.join(f'`{word}`' for word in schema['enum'])}."
        properties = schema.get("properties", {}).items()
        rows = [(f"`{field}`", _type(of), _said(of, of)) for field, of in properties]
        yield markdown.table(("field", "type", "meaning"), rows)


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{word}`" for word in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if schema.get("type") == "object":
        return f"object of {_type(schema['additionalProperties'])}" if schema.get("additionalProperties") else "object"
    return _TYPES.get(schema.get("type", ""), "any JSON")


def _said(schema: dict[str, Any], described: dict[str, Any]) -> str:
    parts = [str(described.get("description", "")).rstrip(".")]
    parts += [f"{sign} {schema[key]}" for key, sign in (("minimum", "≥"), ("maximum", "≤")) if key in schema]
    if schema.get("default") not in (None, "", [], (), {}):
        parts.append(f"default `{schema['default']}`")
    return "; ".join(part for part in parts if part)
