"""Reads events the way that handlers of the field do."""

import base64
import datetime
import json
import urllib.parse


def http(event, context):
    assert event["version"] == "2.0"
    body = event.get("body")
    if event["isBase64Encoded"]:
        body = base64.b64decode(body).hex()
    return {
        "statusCode": 200,
        "headers": {"content-type": "application/json", "x-number": 5, "x-flag": True},
        "cookies": ["a=1; Path=/", "b=2"],
        "body": json.dumps(
            {
                "route": event["routeKey"],
                "path": event["rawPath"],
                "query": event.get("queryStringParameters"),
                "cookies": event.get("cookies"),
                "parameters": event.get("pathParameters"),
                "method": event["requestContext"]["http"]["method"],
                "ip": event["requestContext"]["http"]["sourceIp"],
                "id": event["requestContext"]["requestId"],
                "body": body,
            }
        ),
        "unknown": "ignored",
    }


def upload(event, context):
    (record,) = event["Records"]
    assert record["eventSource"] == "aws:s3"
    assert record["eventName"].startswith("ObjectCreated:")
    return [
        record["s3"]["bucket"]["name"],
        urllib.parse.unquote_plus(record["s3"]["object"]["key"]),
        record["s3"]["object"]["size"],
    ]


def timer(event, context):
    at = datetime.datetime.strptime(event["time"], "%Y-%m-%dT%H:%M:%SZ")
    return [event["detail-type"], event["source"], at.isoformat(), len(event["resources"]), event["detail"]]


def plain(event, context):
    return event
