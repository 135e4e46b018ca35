"""Greet whoever the path names."""

from __future__ import annotations

from typing import Any


def handler(event: dict[str, Any], context: Any) -> dict[str, str]:
    name = (event.get("pathParameters") or {}).get("name", "world")
    return {"message": f"Hello, {name}!", "invocation": context.aws_request_id}
