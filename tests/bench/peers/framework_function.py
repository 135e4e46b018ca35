"""The answer as a function of functions-framework."""

from __future__ import annotations

from typing import Any


def handler(request: Any) -> dict[str, str]:
    return {"hello": request.get_json()["name"]}
