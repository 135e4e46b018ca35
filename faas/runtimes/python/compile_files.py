"""Compiles modules; run by the interpreter that the bytecode is for, as ``compile_files.py 3.11``.

stdin: JSON {"folder", "prefix", "files"}; stdout: JSON [[file, trouble], ...] of the files that do not compile. The
bytecode knows its module by ``prefix``, so that it does not depend on where it was compiled, and is never checked
against the source, which a bundle cannot change. Nothing of the modules runs.
"""

from __future__ import annotations

import json
import py_compile
import resource
import sys
import traceback
import warnings
from pathlib import Path

_MEMORY_BYTES = 2 * 1024**3


def compile_file(folder: Path, prefix: str, name: str) -> str | None:
    """What is wrong with a module, or None."""
    try:
        made = py_compile.compile(
            str(folder / name),
            dfile=prefix + name,
            doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
    except py_compile.PyCompileError as error:
        return "".join(traceback.format_exception_only(type(error.exc_value), error.exc_value))
    except (ValueError, RecursionError, MemoryError) as error:
        return f"{type(error).__name__}: {error}\n"
    if made is not None:
        Path(made).chmod(0o644)
    return None


def main() -> None:
    """Do the work that stdin describes."""
    if "{}.{}".format(*sys.version_info[:2]) != sys.argv[1]:
        sys.exit(3)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    warnings.simplefilter("ignore")
    work = json.load(sys.stdin)
    troubles = [(name, compile_file(Path(work["folder"]), work["prefix"], name)) for name in work["files"]]
    json.dump([trouble for trouble in troubles if trouble[1] is not None], sys.stdout)


if __name__ == "__main__":
    main()
