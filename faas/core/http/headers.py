"""The header fields to which this platform gives a meaning, by the names under which people see them.

Fields of requests are looked up in lower case: what reads them has lowered the names, or does not tell cases apart.
"""

from __future__ import annotations

INVOCATION_ID = "Faas-Invocation-Id"
"""On every answer: the invocation that it is about."""
INVOCATION_TYPE = "Faas-Invocation-Type"
"""Whether the caller waits for the answer: ``sync`` or ``async``."""
DELAY = "Faas-Delay"
"""How long an async call waits before it runs: ``90s``, ``10m``."""
CLIENT_CONTEXT = "Faas-Client-Context"
"""JSON in base64, which the handler finds in its context."""
IDEMPOTENCY_KEY = "Idempotency-Key"
"""The same key and request have the same answer, and run once."""
PAGE = "Faas-Page"
"""On what the platform's own page sends: a page of somebody else cannot make a browser add it."""
SESSION_COOKIE = "faas-session-"
"""First part of the name of the cookie of the platform's page, which is shown to no function: ports share cookies."""
ERROR = "Faas-Error"
"""On the answer of what failed, or was refused: `faas.core.errors.Fault.in_header`."""

DELIVERY_ID = "Faas-Delivery-Id"
"""On a record that is POSTed to a destination: the same however often it is sent."""
DELIVERY_ATTEMPT = "Faas-Delivery-Attempt"
"""Beside it: the number of the try, from 1."""
CHAIN = "Faas-Chain"
"""Beside it: where the request stands in a chain of functions; see `faas.core.calls.lineage`."""
SIGNATURE = "Faas-Signature"
"""Beside it: see `faas.delivery.webhooks`."""
