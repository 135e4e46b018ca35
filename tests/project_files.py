"""Making projects for tests: source folders as the tars that a client uploads."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

from faas.core import model


def tar(path: Path, files: dict[str, str | bytes]) -> Path:
    """A source tar with these files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as out:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(data)
            out.addfile(member, io.BytesIO(data))
    return path


def function(name: str = "hello", *, requirements: str | None = None, **config: Any) -> model.FunctionSpec:
    """A function whose handler is `app.handler` unless told otherwise."""
    config = {"runtime": "python3", "handler": "app.handler", **config}
    return model.FunctionSpec(name=name, source=".", requirements=requirements, config=model.FunctionConfig(**config))


def project(*functions: model.FunctionSpec, buckets: tuple[model.Bucket, ...] = ()) -> model.Project:
    """A project of these functions."""
    return model.Project(functions=functions, buckets=buckets)
