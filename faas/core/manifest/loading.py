"""Reading a manifest, `faas.yaml`, into the project that it declares.

Every fault of a file is reported at once, each as ``file:line:column: key: found X, expected Y``.
"""

from __future__ import annotations

from pathlib import Path

from faas.core import errors, model
from faas.core.manifest import checks, project, shapes, table, yaml_tree

FILE_NAME = "faas.yaml"


def file_of(path: Path) -> Path:
    """The manifest that is meant by a path: the file, or `faas.yaml` in the folder."""
    return path / FILE_NAME if path.is_dir() else path


def load(path: Path) -> model.Project:
    """Read a manifest (a file, or a folder that holds `faas.yaml`); its paths become absolute.

    Raises `errors.BadRequest` when there is none and `errors.ManifestErrors` with all that is wrong with it.
    """
    file = file_of(path)
    try:
        with file.open("rb") as opened:
            raw = opened.read(yaml_tree.MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise errors.BadRequest(f"no manifest: {file} does not exist", hint="`faas init` makes one") from error
    except OSError as error:
        raise errors.BadRequest(f"{file} cannot be read: {error.strerror}") from error
    return parse(raw, file)


def parse(raw: bytes, file: Path) -> model.Project:
    """The project that ``raw``, the content of ``file``, declares. Raises `errors.ManifestErrors`."""
    reader = shapes.Reader(str(file))
    try:
        root = yaml_tree.parse(raw)
    except yaml_tree.Broken as broken:
        reader.fault(broken.position, (), broken.found, broken.expected)
        raise errors.ManifestErrors(reader.faults) from broken
    if root is None:
        reader.fault(yaml_tree.Position(), (), "an empty file", "a mapping with functions")
        raise errors.ManifestErrors(reader.faults)
    found = reader.read(table.manifest_shape(), root, ())
    declared = found if found is not shapes.INVALID else {}
    checks.check(declared, file.absolute().parent, reader)
    if reader.faults:
        raise errors.ManifestErrors(sorted(reader.faults, key=lambda one: (one.data["line"], one.data["column"])))
    return project.project(declared, file.absolute().parent)
