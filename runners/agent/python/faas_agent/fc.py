"""Handlers as Alibaba's Function Compute calls them: ``style: fc``.

An event is bytes, the context has other names, and an HTTP handler is a WSGI application. A result that is text or
bytes is what the caller gets; when it is JSON it is taken for that.
"""

from __future__ import annotations

import json
import logging
import os
from typing import Any, Callable

from . import fc_events, wsgi
from .connection import Header
from .environment import Identity

SERVICE = "default"


class Credentials:
    """Keys for other services: those that the function's ``env`` names as Function Compute does, else empty."""

    def __init__(self, access_key_id: str = "", access_key_secret: str = "", security_token: str = "") -> None:
        self.access_key_id = access_key_id
        self.access_key_secret = access_key_secret
        self.security_token = security_token


class FunctionMeta:
    """The function: its memory in MB, its time-out in seconds."""

    def __init__(self, name: str, handler: str, memory: int, timeout: int, version: str, initializer: str) -> None:
        self.name = name
        self.handler = handler
        self.memory = memory
        self.timeout = timeout
        self.version_id = version
        self.qualifier = "LATEST"
        self.initializer = initializer


class ServiceMeta:
    """The service that the function is in. There are none here, so it is always the same."""

    def __init__(self, version: str) -> None:
        self.name = SERVICE
        self.log_project = ""
        self.log_store = ""
        self.qualifier = "LATEST"
        self.version_id = version


class Tracing:
    """Nothing is traced."""

    def __init__(self) -> None:
        self.span_context = ""
        self.jaeger_endpoint = ""
        self.span_baggages: dict[str, str] = {}


class FCContext:
    """One attempt, as a handler of Function Compute sees it. ``bucket`` is this platform's own."""

    def __init__(self, lambda_context: Any, fixed: dict[str, Any]) -> None:
        self.__dict__.update(fixed)
        self.request_id = lambda_context.aws_request_id
        self.requestId = self.request_id
        self.retry_count = lambda_context.attempt - 1
        self.bucket = lambda_context.bucket

    def to_json(self) -> str:
        """All of it as a JSON text."""
        return json.dumps(_plain({key: value for key, value in vars(self).items() if key not in ("logger", "bucket")}))


class Adapter:
    """What of Function Compute is the same in all attempts of a loaded revision."""

    def __init__(self, load: Header, identity: Identity) -> None:
        env = {**os.environ}
        keys = ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_SECURITY_TOKEN")
        # In whole seconds there; a time-out below one must not read as none.
        seconds = max(1, int(load.get("timeout_ms", 0)) // 1000)
        function = FunctionMeta(
            identity.function,
            str(load["handler"]),
            int(identity.memory_mb),
            seconds,
            identity.version,
            str(load.get("initializer") or ""),
        )
        self._fixed = {
            "credentials": Credentials(*(env.get(key, "") for key in keys)),
            "function": function,
            "service": ServiceMeta(identity.version),
            "region": identity.region,
            "account_id": str(load["account"]),
            "logger": logging.getLogger(),
            "tracing": Tracing(),
        }

    def context(self, lambda_context: Any) -> FCContext:
        """The context of an attempt."""
        return FCContext(lambda_context, self._fixed)

    def events(self, handler: Callable[..., Any]) -> Callable[[Any, Any], Any]:
        """A handler of events as this agent calls handlers: with the event's bytes."""
        return lambda event, context: _result(handler(fc_events.of(event), self.context(context)))

    def requests(self, application: Callable[..., Any]) -> Callable[[Any, Any], Any]:
        """A WSGI application as this agent calls handlers."""
        return lambda event, context: wsgi.respond(application, event, self.context(context))


def prepare(load: Header, identity: Identity) -> None:
    """What a handler finds in its environment, and in the root logger: lines of level INFO are printed."""
    os.environ.update(
        {
            "FC_FUNC_CODE_PATH": str(load["code"]),
            "FC_FUNCTION_NAME": identity.function,
            "FC_FUNCTION_HANDLER": str(load["handler"]),
            "FC_FUNCTION_MEMORY_SIZE": identity.memory_mb,
            "FC_REGION": identity.region,
            "FC_ACCOUNT_ID": str(load["account"]),
            "FC_SERVICE_NAME": SERVICE,
            "FC_VERSION_ID": identity.version,
            "FC_QUALIFIER": "LATEST",
            "FC_INSTANCE_ID": identity.log_stream.rpartition("]")[2],
        }
    )
    logging.getLogger().setLevel(logging.INFO)


def _result(value: Any) -> Any:
    """The value that JSON text or bytes stand for; other texts and bytes as they are."""
    if not isinstance(value, (str, bytes, bytearray)):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return {key: _plain(each) for key, each in vars(value).items()} if hasattr(value, "__dict__") else value
