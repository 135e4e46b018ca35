"""``GET /thumb/{name}``: the thumbnail of a photograph, as the image itself."""

from __future__ import annotations

import base64
from typing import Any


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    name = event["pathParameters"]["name"]
    try:
        with context.bucket("thumbs").open(f"small/{name}.webp", "rb") as file:
            content = file.read()
    except (FileNotFoundError, ValueError):  # ValueError: a name that no object can have
        return {"statusCode": 404, "headers": {"content-type": "text/plain"}, "body": f"no photo is called {name}\n"}
    return {
        "statusCode": 200,
        "headers": {"content-type": "image/webp"},
        "isBase64Encoded": True,
        "body": base64.b64encode(content).decode(),
    }
