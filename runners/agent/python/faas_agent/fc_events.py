"""Events in the shapes of Function Compute, made of this platform's, which are Lambda's."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote_plus


def of(event: bytes) -> bytes:
    """The event's bytes: those of a request, an upload or a timer in their other shape, any other as it came."""
    if not event.lstrip().startswith(b"{"):
        return event
    try:
        given = json.loads(event)
    except (ValueError, RecursionError):
        return event
    made = _request(given) or _upload(given) or _timer(given)
    return event if made is None else json.dumps(made, ensure_ascii=False).encode("utf-8", "replace")


def _request(given: dict[str, Any]) -> dict[str, Any] | None:
    if "rawPath" not in given or "requestContext" not in given:
        return None
    headers = dict(given.get("headers") or {})
    if given.get("cookies"):
        headers["cookie"] = "; ".join(given["cookies"])
    about = {"body": "", "isBase64Encoded": False, **given, "version": "v1", "headers": headers}
    about["queryParameters"] = given.get("queryStringParameters") or {}
    return about


def _upload(given: dict[str, Any]) -> dict[str, Any] | None:
    records = given.get("Records")
    if not isinstance(records, list) or not all(isinstance(each, dict) and "s3" in each for each in records):
        return None
    return {"events": [_upload_event(each) for each in records]}


def _upload_event(record: dict[str, Any]) -> dict[str, Any]:
    bucket, thing = record["s3"]["bucket"], record["s3"]["object"]
    about = {"key": unquote_plus(thing["key"]), "size": thing.get("size"), "eTag": thing.get("eTag")}
    return {
        "eventName": "ObjectCreated:PutObject",
        "eventSource": "acs:oss",
        "eventTime": record.get("eventTime"),
        "eventVersion": "1.0",
        "region": record.get("awsRegion"),
        "oss": {
            "bucket": {"name": bucket["name"], "arn": bucket.get("arn"), "ownerIdentity": ""},
            "object": about,
            "ossSchemaVersion": "1.0",
        },
        "requestParameters": record.get("requestParameters"),
        "responseElements": record.get("responseElements"),
        "userIdentity": record.get("userIdentity"),
    }


def _timer(given: dict[str, Any]) -> dict[str, Any] | None:
    if given.get("source") != "aws.events" or given.get("detail-type") != "Scheduled Event":
        return None
    name = str((given.get("resources") or ["timer"])[0]).rpartition("/")[2]
    return {"triggerTime": given.get("time"), "triggerName": name, "payload": ""}
