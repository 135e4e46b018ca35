"""What a build does for Python."""

from __future__ import annotations

import re
from pathlib import Path

from faas.core import errors, model
from faas.runtimes import children, installed, port
from faas.runtimes.python import bytecode, installing, requirements, target


class Build:
    """A `port.Build`: packages are wheels, and modules are compiled."""

    def key(self, has: installed.Installed) -> str:
        """See `port.Build.key`: without an interpreter of that version there is no bytecode."""
        return "source" if bytecode.compiler(target.version(has.name)) is None else "bytecode"

    def packages(self, source: Path, file: str, has: installed.Installed) -> port.Packages:
        """See `port.Build.packages`."""
        return installing.Packages(requirements.read(source, file), source, target.of(has))

    def compile(
        self, function: model.FunctionSpec, folder: Path, has: installed.Installed, programs: children.Programs
    ) -> port.Compiled:
        """See `port.Build.compile`. A module that does not compile is a fault only when it is the handler's."""
        compiled = bytecode.compile_tree(folder, target.version(has.name), programs)
        own = _handler_files(function.config.handler)
        fault = next((_syntax_error(function, one) for one in compiled.troubles if one.file in own), None)
        remarks = tuple(f"{one.file or 'bytecode'}: {one.text.strip().splitlines()[-1]}" for one in compiled.troubles)
        return port.Compiled(note=compiled.note, remarks=remarks, fault=fault)


def _handler_files(handler: str) -> tuple[str, str]:
    module = handler.rpartition(".")[0].replace(".", "/")
    return f"{module}.py", f"{module}/__init__.py"


def _syntax_error(function: model.FunctionSpec, trouble: bytecode.Trouble) -> errors.BuildFailed:
    lines = trouble.text.replace(bytecode.MOUNTED_AT, "").rstrip().splitlines()
    return errors.BuildFailed(
        f"{function.name}: {trouble.file}{_line(lines)} does not compile: {lines[-1]}",
        function=function.name,
        file=trouble.file,
        stack=lines,
    )


def _line(trouble: list[str]) -> str:
    found = re.search(r'", line (\d+)$', trouble[0])
    return f":{found[1]}" if found else ""
