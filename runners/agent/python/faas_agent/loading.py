"""From the text of a handler (``app.handler``, ``package.module.handler``, ``dir/module.handler``) to a callable."""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType
from typing import Any, Callable

from . import faults, imports, libraries

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
    _make_way(first, code)
    # The finder remembers folders by their time of change, and the code was put there within its step.
    importlib.invalidate_caches()
    try:
        return importlib.import_module(module)
    except (ImportError, OSError) as error:
        reason = libraries.missing(error, code)
        if reason:
            raise faults.Fault("Runtime.ImportModuleError", f"Unable to import module '{path}': {reason}") from None
        if not isinstance(error, ImportError):
            raise
        raise faults.Fault("Runtime.ImportModuleError", f"Unable to import module '{path}': {error}", error) from error
    except SyntaxError as error:
        raise faults.Fault("Runtime.UserCodeSyntaxError", f"Syntax error in module '{path}': {error}", error) from error


def _make_way(first: str, code: str) -> None:
    """See that the handler's own module, or the folder that it is in, is found where Python has one of that name."""
    folder = os.path.join(code, first)
    is_own = imports.has_module(first, [code])
    if first == "__main__" and is_own:
        imports.forget(first)
    elif first in sys.builtin_module_names or (imports.is_the_interpreters(first) and is_own):
        raise faults.Fault(
            "Runtime.BuiltInModuleConflict",
            f"Cannot use built-in module {first} as a handler module: Python finds its own {first} before any file;"
            " give the file another name",
        )
    elif not is_own and os.path.isdir(folder) and imports.has_module(first, sys.path):
        imports.share_folder(first, folder)
