"""The answer as a function of Nuclio."""

from __future__ import annotations

import json
from typing import Any


def handler(context: Any, event: Any) -> dict[str, str]:
    body = event.body if isinstance(event.body, dict) else json.loads(event.body)
    return {"hello": body["name"]}
