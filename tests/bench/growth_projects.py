"""Projects of which much exists: many functions, one large source, many objects, many routes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from faas.core import model
from triggers.gateway import routes as gateway_routes

BUCKET = "growing"
NEVER_DONE = "never-done"
_MOST_OF_A_DEPLOY = 1_000
_HANDLER = "def handler(event, context):\n    return None\n"
_PER_FOLDER = 1_000


def small(folder: Path, functions: int, prefix: str = "small") -> Path:
    """Functions that do nothing, with one source."""
    return _project(folder, _HANDLER, [f"{prefix}-{number:05d}" for number in range(functions)])


def parts(folder: Path, functions: int) -> Iterator[Path]:
    """So many functions in as many projects as it takes: a deploy has at most a thousand."""
    for start in range(0, functions, _MOST_OF_A_DEPLOY):
        count = min(_MOST_OF_A_DEPLOY, functions - start)
        yield small(folder / f"part-{start}", count, prefix=f"part-{start}")


def sharing(folder: Path, functions: int, source_bytes: int) -> Path:
    """Functions with one source of so many bytes, which no compression makes less of."""
    project = _project(folder, _HANDLER, [f"shared-{number:05d}" for number in range(functions)])
    # Another one in each round, or the second would find what the first has built.
    (project / "code" / "weights.bin").write_bytes(random.randbytes(source_bytes))
    return project


def never_done(folder: Path) -> Path:
    """A function one of whose attempts takes a quarter of an hour, and which runs one at a time."""
    handler = "import time\n\n\ndef handler(event, context):\n    time.sleep(890)\n"
    return _project(folder, handler, [NEVER_DONE], "\n    timeout: 15min\n    max_concurrency: 1")


def with_objects(folder: Path, objects: int) -> Path:
    """A bucket of so many small objects, a thousand to a folder."""
    project = small(folder, 1)
    manifest = project / "faas.yaml"
    manifest.write_text(f"buckets:\n  {BUCKET}: {{path: ./objects}}\n{manifest.read_text()}")
    for number in range(objects):
        path = project / "objects" / f"{number // _PER_FOLDER:05d}" / f"{number % _PER_FOLDER:05d}"
        if number % _PER_FOLDER == 0:
            path.parent.mkdir(parents=True)
        path.write_bytes(b"x")
    return project


def routes(count: int) -> gateway_routes.Routes:
    """A table of so many routes, each with a parameter, many with the same beginning."""
    return gateway_routes.Routes(
        [
            model.Revision(
                function=f"f-{number}",
                number=1,
                artifact="0" * 64,
                config=model.FunctionConfig(
                    runtime="python3",
                    handler="app.handler",
                    triggers=(model.HttpTrigger(path=f"/group{number % 7}/part{number % 11}/{number}/{{name}}"),),
                ),
                created_at_ms=0,
            )
            for number in range(count)
        ]
    )


def _project(folder: Path, handler: str, names: list[str], more: str = "") -> Path:
    (folder / "code").mkdir(parents=True)
    (folder / "code" / "app.py").write_text(handler)
    functions = "".join(
        f"  {name}:\n    runtime: python3\n    handler: app.handler\n    source: ./code{more}\n" for name in names
    )
    (folder / "faas.yaml").write_text(f"functions:\n{functions}")
    return folder
