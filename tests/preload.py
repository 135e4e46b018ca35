"""Lines of C that a test loads into the processes it starts, by LD_PRELOAD, to change what the system tells them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

_COMPILERS = ("cc", "gcc", "clang", "tcc")


def compiled(source: str, folder: Path) -> Path:
    """The library, in ``folder``, made of a C file of this one. Raises `FileNotFoundError` without a compiler."""
    library = folder / Path(source).with_suffix(".so").name
    code = Path(__file__).with_name(source)
    subprocess.run([_compiler(), "-shared", "-fPIC", "-nostdlib", "-o", str(library), str(code)], check=True)
    return library


def _compiler() -> str:
    found = next((path for name in _COMPILERS if (path := shutil.which(name))), None)
    if found is None:
        raise FileNotFoundError("no C compiler (make setup as root, or apt-get install tcc)")
    return found
