"""The answer of every contender, as a function of the platform."""

import json


def handler(event, context):
    return {"hello": json.loads(event["body"])["name"]}
