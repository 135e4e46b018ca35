"""From the function that a handler names to what this agent calls, whatever platform the handler was written for."""

from __future__ import annotations

import functools
import sys
from typing import Any, Callable, NamedTuple

from . import loading, output, styles
from .connection import Header
from .environment import Identity

Call = Callable[[Any, Any], Any]
_UNUSED = (("initializer", ("initializer", "initialize")), ("pre_stop", ("pre_stop", "preStop", "pre_stop_handler")))


class Adapted(NamedTuple):
    """A handler as it is called: with the event's bytes when ``takes_bytes``. ``stop`` runs before the sandbox ends."""

    call: Call
    takes_bytes: bool = False
    stop: Callable[[], Any] | None = None


class _NoAttempt:
    """What stands behind the context of an initializer."""

    aws_request_id = ""
    attempt = 1
    bucket = None


def adapt(handler: Call, load: Header, identity: Identity) -> Adapted:
    """Find out whose handler it is, unless the manifest says so, and run its initializer.

    Raises `faults.Fault` for one of a platform that is not supported, and what the initializer raises.
    """
    style, why = _style(handler, load)
    if style != styles.FC:
        return Adapted(handler)
    from . import fc  # most functions have no use for it, and wait for their first import

    if why:
        output.say(f"[INFO] taken for a handler of Function Compute (`style: fc`): {why}\n")
        fc.prepare(load, identity)
    adapter = fc.Adapter(load, identity)
    _tell_unused(handler, load)
    initialize, stop = (_named(load, key) for key in ("initializer", "pre_stop"))
    if initialize is not None:
        initialize(adapter.context(_NoAttempt))
    call = adapter.requests(handler) if styles.is_wsgi(handler) else adapter.events(handler)
    return Adapted(call, True, None if stop is None else functools.partial(stop, adapter.context(_NoAttempt)))


def _style(handler: Call, load: Header) -> tuple[str, str]:
    style = load.get("style") or "auto"
    if style == "auto" and (load.get("initializer") or load.get("pre_stop")):
        return styles.FC, "the manifest names an initializer or pre_stop"
    return (style, "") if style != "auto" else styles.of(handler, _module(handler))


def _module(handler: Any) -> Any:
    return sys.modules.get(getattr(handler, "__module__", None) or "")


def _named(load: Header, key: str) -> Callable[..., Any] | None:
    name = load.get(key)
    return loading.load_handler(str(name), str(load["code"])) if name else None


def _tell_unused(handler: Call, load: Header) -> None:
    """Say so when the module has a function that Function Compute would call, and the manifest does not name it."""
    module = _module(handler)
    for key, names in _UNUSED:
        found = next((name for name in names if callable(getattr(module, name, None))), None)
        if found is not None and not load.get(key):
            path = f"{load['handler'].rpartition('.')[0]}.{found}"
            output.say(f"[WARNING] {found} is not called: write `{key}: {path}` in faas.yaml\n")
