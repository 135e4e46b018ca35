"""From the text of a handler (``app.handler``, ``package.module.handler``, ``dir/module.handler``) to a callable."""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType
from typing import Any, Callable

from . import faults

Handler = Callable[[Any, Any], Any]


def load_handler(handler: str, code: str) -> Handler:
    """Import the handler's module from the folder ``code``.

    Raises `faults.Fault` with the name that Lambda gives to the trouble, or whatever the module itself raises.
    """
    path, name = _split(handler)
    found = getattr(_import(path, code), name, None)
    if found is None:
        raise faults.Fault("Runtime.HandlerNotFound", f"Handler '{name}' missing on module '{path}'")
    if not callable(found):
        raise faults.Fault("Runtime.HandlerNotFound", f"Handler '{name}' of module '{path}' is not callable")
    callable_handler: Handler = found
    return callable_handler


def _split(handler: str) -> tuple[str, str]:
    path, _, name = handler.rpartition(".")
    path = path[2:] if path.startswith("./") else path
    if not name or not all(path.replace("/", ".").split(".")):
        raise faults.Fault("Runtime.MalformedHandlerName", f"Bad handler '{handler}': expected module.function")
    return path, name


def _import(path: str, code: str) -> ModuleType:
    module = path.replace("/", ".")
    first = module.partition(".")[0]
    if first in sys.builtin_module_names:
        raise faults.Fault("Runtime.BuiltInModuleConflict", f"Cannot use built-in module {path} as a handler module")
    _make_way(first, code)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise faults.Fault("Runtime.ImportModuleError", f"Unable to import module '{path}': {error}", error) from error
    except SyntaxError as error:
        raise faults.Fault("Runtime.UserCodeSyntaxError", f"Syntax error in module '{path}': {error}", error) from error


def _make_way(first: str, code: str) -> None:
    """Forget a module of the standard library that the agent has imported and the handler's own module is named like.

    In a fresh interpreter the code's folder, first in the path, would have won.
    """
    beside = os.path.join(code, first)
    if first in sys.modules and (os.path.isfile(beside + ".py") or os.path.isfile(os.path.join(beside, "__init__.py"))):
        for name in [name for name in sys.modules if name == first or name.startswith(first + ".")]:
            del sys.modules[name]
