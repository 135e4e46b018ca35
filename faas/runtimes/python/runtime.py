"""The language itself."""

from __future__ import annotations

import py_compile
import re
import sys
from pathlib import Path

from faas.runtimes import port
from faas.runtimes.python import building, target

_PACKAGES = (
    *("python3", "ca-certificates", "netbase", "tzdata"),
    # What a wheel may expect of a system, by the policies of manylinux (PEP 600), and does not bring along. Left out is
    # libGL, which comes with a graphics stack of 150 MB and is in no slim image.
    *("libstdc++6", "libgcc-s1", "libatomic1", "zlib1g", "libexpat1", "libglib2.0-0"),
    *("libx11-6", "libxext6", "libxrender1", "libsm6", "libice6"),
    # Not in the policies, and asked for by wheels that are much used (lightgbm).
    "libgomp1",
)
_PREPARE = (
    "import compileall, os, sys; assert sys.version_info >= (3, 9), sys.version; "
    "compileall.compile_dir(os.path.dirname(os.__file__), quiet=2, rx=__import__('re').compile('-packages|/test')); "
    "print('runtime=python%d.%d' % sys.version_info[:2])"
)
_ASKED = re.compile(r"python3(\.\d{1,2})?")
_HERE = f"{target.PREFIX}{sys.version_info[0]}.{sys.version_info[1]}"
# Output leaves at once, and no bytecode is written, as a sandbox could keep none.
_FLAGS = ("-u", "-B")


class Python:
    """A `port.Runtime`: ``python3``, 3.9 or newer.

    Official images come without the bytecode of the standard library, and sandboxes cannot write any: it is made when
    an image is made ready.
    """

    name = "python3"

    def __init__(self, agent: Path, base_image: str = "") -> None:
        self.agent = port.Agent(agent, "*.py")
        self.image = port.Image(
            setting="base_image",
            named=base_image,
            pulled="python:3-slim",
            like=r"python:3\.(\d+)-slim",
            packages=_PACKAGES,
            prepare=("python3", "-c", _PREPARE),
            needs="it must have python3, 3.9 or newer",
        )
        self.build = building.Build()

    def takes(self, asked: str) -> bool:
        """See `port.Runtime.takes`."""
        return _ASKED.fullmatch(asked) is not None

    def here(self) -> str | None:
        """The Python that runs the platform."""
        return _HERE

    def make_ready(self, agent: Path, has: str) -> None:
        """Compile the agent, when this process's Python is the sandboxes' too; another one compiles at each start."""
        if has != _HERE:
            return
        for path in agent.rglob("*.py"):
            made = py_compile.compile(
                str(path),
                dfile=path.name,
                doraise=True,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
            if made is not None:
                Path(made).chmod(0o644)
                Path(made).parent.chmod(0o755)

    def command(self, agent: str, link: str) -> list[str]:
        """See `port.Runtime.command`."""
        return ["python3", *_FLAGS, agent, link]

    def command_here(self, agent: str, link: str) -> list[str]:
        """See `port.Runtime.command_here`."""
        return [sys.executable, *_FLAGS, agent, link]
