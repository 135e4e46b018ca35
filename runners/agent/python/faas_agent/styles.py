"""Whose platform a handler is written for: Lambda's, which is this one's, Function Compute's, or one not supported.

Told by what a handler for Lambda cannot be: names of parameters, modules, attributes that its context does not have.
Looking is cheap for the many that show nothing; source is read only where a name is in the handler's code that may.
"""

from __future__ import annotations

from types import CodeType, FunctionType, ModuleType
from typing import Any

from . import faults

LAMBDA, FC = "lambda", "fc"

# Attributes of Function Compute's context that Lambda's does not have.
_FC_ONLY = frozenset({"request_id", "requestId", "credentials", "service", "account_id", "retry_count", "tracing"})
_REQUEST_ATTRIBUTES = frozenset({"body", "method", "query", "path", "headers"})
_WSGI = ("environ", "start_response")
_MODULES = {
    "functions_framework": "functions-framework (Google Cloud Functions)",
    "azure.functions": "Azure Functions",
    "fdk": "Fn",
    "nuclio_sdk": "Nuclio",
}


def of(handler: Any, module: ModuleType | None) -> tuple[str, str]:
    """The style of a handler, and by what it shows, empty when nothing shows.

    Raises `faults.Fault` for a handler of a platform whose handlers are not supported.
    """
    names = _parameters(handler)
    other = _other(handler, names, module)
    if other:
        raise faults.Fault(
            "Runtime.UnsupportedHandler",
            f"this is a handler for {other}, which is not supported yet: write `def handler(event, context)`, as for"
            " AWS Lambda, or `style: fc` for Alibaba's Function Compute",
        )
    if names[:2] == _WSGI:
        return FC, "its parameters are environ and start_response"
    used = _attributes(handler, 1, _FC_ONLY)
    return (FC, f"it uses context.{min(used)}") if used else (LAMBDA, "")


def is_wsgi(handler: Any) -> bool:
    """Whether a handler of Function Compute is one of requests: a WSGI application."""
    names = _parameters(handler)
    return names[:2] == _WSGI or (len(names) > 1 and names[1] == "start_response")


def _other(handler: Any, names: tuple[str, ...], module: ModuleType | None) -> str:
    if names[:2] == ("context", "event"):
        return "Nuclio (its parameters are context and event)"
    if names[:2] in (("ctx", "data"), ("context", "data")) or (names and names[0] == "ctx" and "data" in names):
        return "Fn (its parameters are ctx and data)"
    for name, platform in _MODULES.items():
        if names[:2] != ("event", "context") and _imports(module, name):
            return f"{platform} (it imports {name})"
    if getattr(handler, "__name__", "") == "handle":
        if names == ("req",):
            return "OpenFaaS (handle(req))"
        if names == ("event", "context") and (used := _attributes(handler, 0, _REQUEST_ATTRIBUTES)):
            return f"OpenFaaS (handle uses event.{min(used)})"
    return ""


def _parameters(handler: Any) -> tuple[str, ...]:
    """The names of the positional parameters of a function, or of an object's or class's call."""
    target = handler
    if not isinstance(handler, FunctionType):
        target = getattr(handler, "__func__", None) or _found(type(handler), "__call__")
        if isinstance(handler, type):
            target = _found(handler, "__init__")
    code = getattr(target, "__code__", None)
    if not isinstance(code, CodeType):
        return ()
    names = code.co_varnames[: code.co_argcount]
    return names if target is handler else names[1:]


def _found(kind: type, name: str) -> Any:
    return next((vars(each)[name] for each in kind.__mro__ if name in vars(each)), None)


def _imports(module: ModuleType | None, name: str) -> bool:
    """Whether a module holds the module ``name``, or something that comes from it."""
    for value in list(vars(module).values()) if module is not None else ():
        whose = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        if isinstance(whose, str) and (whose == name or whose.startswith(name + ".")):
            return True
    return False


def _attributes(handler: Any, place: int, wanted: frozenset[str]) -> set[str]:
    """Which of these attributes a plain function reads of its parameter at ``place``, which it gives no other value."""
    if not isinstance(handler, FunctionType) or wanted.isdisjoint(handler.__code__.co_names):
        return set()
    try:
        import ast
        import inspect
        import textwrap

        tree = ast.parse(textwrap.dedent(inspect.getsource(handler)))
        function: Any = tree.body[0]
        if function.decorator_list:
            return set()
        name = function.args.args[place].arg
        nodes = list(ast.walk(function))
        if any(isinstance(each, ast.Name) and each.id == name and not isinstance(each.ctx, ast.Load) for each in nodes):
            return set()
        return {
            each.attr
            for each in nodes
            if isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name) and each.value.id == name
        } & wanted
    except Exception:  # noqa: BLE001 - no source, or of another form: then nothing shows
        return set()
