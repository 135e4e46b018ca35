"""What the commands that show one thing share: JSON as JSON, attempts as a table, an error with its frames."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

from faas.cli import layout, output


def document(label: str, value: Any) -> None:
    """Print a JSON value under its label, indented."""
    output.line()
    output.line(f"{label}:")
    output.line_of_json(json.dumps(value, indent=2, ensure_ascii=False))


def result(found: dict[str, Any]) -> None:
    """Print what a handler returned: JSON, or bytes in base64, which is said."""
    if found.get("result_is_base64"):
        size = len(base64.b64decode(found["result"]))
        document(f"result ({size} bytes, in base64)", found["result"])
    else:
        document("result", found["result"])


def attempts(records: Sequence[dict[str, Any]]) -> None:
    """Print the attempts of an invocation."""
    if not records:
        return
    output.line()
    output.table(
        (
            "ATTEMPT",
            "ENDED",
            "STATUS",
            layout.Column("DURATION MS", drop=1),
            layout.Column("CPU MS", drop=2),
            layout.Column("ERROR", cut=True),
        ),
        [
            (
                each["attempt"],
                output.moment(each["ended_at_ms"]),
                each["status"],
                f"{each['duration_ms']:.2f}",
                None if each.get("cpu_us") is None else f"{each['cpu_us'] / 1000:.2f}",
                said(each),
            )
            for each in records
        ],
    )


def error(failure: dict[str, Any] | None) -> None:
    """Print why an attempt failed, with the user's own frames."""
    if failure is None:
        return
    output.line()
    output.line("error:")
    for frame in failure["stack"]:
        output.line(frame.rstrip("\n"))
    output.line(f"{failure['type']}: {failure['message']}")


def without_repeats(lines: Sequence[str], told: str) -> list[str]:
    """The lines of a log without those that say no more than ``told``, which is printed besides.

    An agent writes an error twice as Lambda does: as a line of its own, and as the last one of its traceback.
    """
    return [line for line in lines if not _repeats(line.rstrip("\n"), told)]


def _repeats(line: str, told: str) -> bool:
    kind, colon, message = line.removeprefix("[ERROR] ").partition(": ")
    is_error = bool(colon) and " " not in kind and not line.startswith(" ")
    return is_error and bool(message) and told.endswith(message)


def said(record: dict[str, Any]) -> str | None:
    """An error in one phrase."""
    failure = record["error"]
    return None if failure is None else f"{failure['type']}: {failure['message']}"


def origin(found: dict[str, Any]) -> list[tuple[str, str]]:
    """What ran and what for: the facts of an invocation that never change."""
    facts = []
    if found.get("function"):
        facts.append(("function", f"{found['function']}@{found['revision']}"))
    if found.get("trigger"):
        facts.append(("trigger", ", ".join(filter(None, (found["trigger"], found.get("mode"))))))
    if found.get("object"):
        facts.append(("object", found["object"]))
    if found.get("parent_id"):
        facts.append(("parent", found["parent_id"]))
        facts.append(("root", f"{found['root_id']}, {found['depth']} links before"))
    return facts
