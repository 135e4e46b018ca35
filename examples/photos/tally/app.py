"""A timer: what the archive holds of this day, counted and written to ``DAY/tally.json``."""

from __future__ import annotations

import json
from typing import Any


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    day = event["time"][:10]
    archive = context.bucket("archive")
    sizes = [found.size for found in archive.list(f"{day}/objects/")]
    tally = {"day": day, "objects": len(sizes), "bytes": sum(sizes)}
    print(f"{day}: {len(sizes)} objects, {sum(sizes):,} bytes")
    with archive.open(f"{day}/tally.json", "wb") as file:
        file.write(json.dumps(tally).encode() + b"\n")
    return tally
