"""Copies the object of an upload event, twice over, from one bucket into another."""

from __future__ import annotations

import urllib.parse


def handler(event, context):
    key = urllib.parse.unquote_plus(event["Records"][0]["s3"]["object"]["key"])
    thumbs = context.bucket("thumbs")
    with context.bucket("photos").open(key) as source, thumbs.open(key, "wb") as target:
        target.write(source.read() * 2)
    return {"copied": key, "thumbs": [found.key for found in thumbs.list()]}
