"""Handlers for Alibaba's Function Compute, as its documentation and public code have them."""

import json
import logging

started = []


def initialize(context):
    logging.getLogger().info("initializing %s", context.function.name)
    started.append(context.request_id)


def failing(context):
    raise RuntimeError("no database")


def pre_stop(context):
    print("stopping", context.function.name)


def handler(event, context):
    evt = json.loads(event)
    context.logger.info("got %s", type(event).__name__)
    creds = context.credentials
    return json.dumps(
        {
            "key": evt["key"],
            "started": len(started),
            "request": context.request_id,
            "function": [
                context.function.name,
                context.function.handler,
                context.function.memory,
                context.function.timeout,
            ],
            "service": [context.service.name, context.service.log_project, context.service.qualifier],
            "where": [context.region, context.account_id],
            "credentials": [creds.access_key_id, creds.access_key_secret, creds.security_token],
            "json": sorted(json.loads(context.to_json())),
        }
    )


def plain(event, context):
    return "hello world"


def raw(event, context):
    return b"\x00\xff" + event


def echoes(event, context):
    return event


def wsgi(environ, start_response):
    context = environ["fc.context"]
    size = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(size)
    found = {key: environ[key] for key in sorted(environ) if key.isupper() and isinstance(environ[key], str)}
    found["uri"] = environ["fc.request_uri"]
    found["request"] = context.request_id
    found["body"] = body.decode()
    start_response("201 Created", [("Content-type", "application/json"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    yield json.dumps(found).encode()


class Application:
    def __init__(self, environ, start_response):
        self.environ, self.start = environ, start_response

    def __iter__(self):
        self.start("200 OK", [("Content-type", "text/plain")])
        yield b"Hello world!\n"


def never_starts(environ, start_response):
    return [b"x"]


def lambdas(event, context):
    return [type(event).__name__, context.aws_request_id]
