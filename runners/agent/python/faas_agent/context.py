"""The second argument of a handler: the attributes that Lambda handlers use, and the platform's own."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from . import buckets, faults, tracing
from .connection import Connection, Header
from .environment import Identity


class CognitoIdentity:
    """Who called, for callers that Amazon Cognito knows; here nobody."""

    cognito_identity_id = None
    cognito_identity_pool_id = None


class Client:
    """The application that called, as a mobile SDK describes it."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.installation_id = given.get("installation_id")
        self.app_title = given.get("app_title")
        self.app_version_name = given.get("app_version_name")
        self.app_version_code = given.get("app_version_code")
        self.app_package_name = given.get("app_package_name")


class ClientContext:
    """What the caller sent beside the event: ``custom`` and ``env`` as it wrote them, and ``client``."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.custom = given.get("custom")
        self.env = given.get("env")
        client = given.get("client")
        self.client = Client(client) if isinstance(client, dict) else None


class Context:
    """One attempt, as its handler sees it."""

    function_name: str
    function_version: str
    invoked_function_arn: str
    memory_limit_in_mb: str
    log_group_name: str
    log_stream_name: str
    tenant_id: None
    aws_request_id: str
    invocation_id: str
    attempt: int
    depth: int
    identity: CognitoIdentity
    client_context: ClientContext | None
    _deadline_ns: int
    _trace: bytes
    _connection: Connection
    _declared: frozenset[str]
    _attempt_number: int

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the attempt is ended; 0 when they have passed."""
        return max(0, (self._deadline_ns - time.monotonic_ns()) // 1_000_000)

    @property
    def traceparent(self) -> str:
        """Where this attempt stands in its trace, as W3C Trace Context has it: for what the handler asks of others."""
        return tracing.traceparent(self._trace)

    @property
    def tracestate(self) -> str:
        """What other tracing systems have put beside it; '' for nothing."""
        return tracing.tracestate(self._trace)

    def bucket(self, name: str) -> buckets.Bucket:
        """A bucket that the function's manifest declares. Raises `PermissionError` for any other."""
        return buckets.Store(self._connection, self._declared, self._attempt_number).bucket(name)

    def log(self, text: object) -> None:
        """Write a text into the log as it is, without a line end."""
        sys.stdout.write(str(text))

    def __repr__(self) -> str:
        return f"<Context {self.function_name}:{self.function_version} {self.aws_request_id}>"


class ContextMaker:
    """Makes contexts of one loaded revision: what is the same in all of them is computed once.

    An attempt's own are put into a copy of all attributes, which becomes the context's: a third of what it takes to set
    them one by one, and `vars` of a context is whole.
    """

    def __init__(self, connection: Connection, identity: Identity, declared: Header) -> None:
        self._attributes: dict[str, Any] = {
            "function_name": identity.function,
            "function_version": identity.version,
            "invoked_function_arn": identity.arn,
            "memory_limit_in_mb": identity.memory_mb,
            "log_group_name": identity.log_group,
            "log_stream_name": identity.log_stream,
            "tenant_id": None,
            "aws_request_id": "",
            "invocation_id": "",
            "attempt": 1,
            "depth": 0,
            "identity": None,
            "client_context": None,
            "_deadline_ns": 0,
            "_trace": b"",
            "_connection": connection,
            "_declared": frozenset(declared),
            "_attempt_number": 0,
        }

    def make(
        self, request_id: str, attempt: int, depth: int, client_context: str, deadline_ns: int, trace: bytes
    ) -> Context:
        """The context of an attempt, within `Connection.begin_attempt`."""
        attributes = self._attributes.copy()
        attributes["aws_request_id"] = attributes["invocation_id"] = request_id
        attributes["attempt"] = attempt
        attributes["depth"] = depth
        attributes["identity"] = CognitoIdentity()
        if client_context:
            attributes["client_context"] = _client_context(client_context)
        attributes["_deadline_ns"] = deadline_ns
        attributes["_trace"] = trace
        attributes["_attempt_number"] = attributes["_connection"].attempt_number
        context = _new(Context)
        context.__dict__ = attributes
        return context


_new = Context.__new__


def _client_context(text: str) -> ClientContext:
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise faults.Fault(
            "Runtime.LambdaContextUnmarshalError", f"Unable to parse Client Context JSON: {error}"
        ) from error
    if not isinstance(given, dict):
        raise faults.Fault(
            "Runtime.LambdaContextUnmarshalError", f"Client Context is no JSON object but {type(given).__name__}"
        )
    return ClientContext(given)
