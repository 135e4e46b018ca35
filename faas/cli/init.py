"""`faas init`: a project that deploys as it is, with a comment on every line."""

from __future__ import annotations

import re
from pathlib import Path

import click

from faas.cli import output
from faas.core import errors
from faas.core.manifest import patterns

_MANIFEST = """\
functions:                             # every function of this project, by name
  {name}:{pad}# the name: `faas invoke {name}`, and /fn/{name} on the gateway
    runtime: python3                   # the language; python3 takes any version that the base image has
    handler: app.handler               # what to call: the function `handler` in app.py
    memory: 128MB                      # the most memory of one attempt, 64MB to 10GB
    timeout: 10s                       # the longest attempt, 1ms to 15min
    env: {{GREETING: "Hello"}}           # environment variables; values are text, in quotes
    triggers:                          # what turns into invocations of this function
      - http: {{path: "/{route}/{{name}}", methods: [GET]}}  # GET /{route}/Ada on the gateway
      # - timer: {{every: 1h}}           # also every hour; or {{cron: "0 9 * * MON-FRI"}}
"""

_HANDLER = """\
import os  # the variables of `env` in faas.yaml are in os.environ

GREETING = os.environ.get("GREETING", "Hello")  # runs once per sandbox, before its first event


def handler(event, context):  # runs for every event; `event` is a dict, `context` knows the invocation
    path = event.get("pathParameters") or {}  # what an http trigger found for {name}
    name = path.get("name") or event.get("name") or "world"  # or what `faas invoke --data` sent
    print(f"greeting {name}")  # printed lines are the log: `faas logs`
    return {"message": f"{GREETING}, {name}!", "invocation_id": context.aws_request_id}  # anything that JSON can hold
"""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=".", metavar="[DIR]")
@click.option("--name", help="Name of the function; by default the folder's.")
def init_command(*, folder: Path, name: str | None) -> None:
    """Write a working project into DIR (the current folder by default): faas.yaml and app.py.

    \b
    faas init hello && faas deploy hello
    """
    chosen = _name(name, folder)
    route = "hello" if chosen in patterns.RESERVED else chosen
    column = 39 - len(f"  {chosen}:")
    files = {
        "faas.yaml": _MANIFEST.format(name=chosen, route=route, pad=" " * max(1, column)),
        "app.py": _HANDLER,
    }
    _write(folder, files)
    for file in files:
        output.say(f"wrote {folder / file}")
    output.say(f'now: faas up --detach && faas deploy {folder} && faas invoke {chosen} --data \'{{"name": "Ada"}}\'')


def _name(name: str | None, folder: Path) -> str:
    if name is not None:
        if not re.fullmatch(r"[a-z0-9](?:[a-z0-9\-]{0,61}[a-z0-9])?", name):
            raise errors.BadRequest(
                f"{name!r} is no name for a function", hint="use lower-case letters, digits and dashes, at most 63"
            )
        return name
    return re.sub(r"[^a-z0-9]+", "-", folder.absolute().name.lower())[:63].strip("-") or "hello"


def _write(folder: Path, files: dict[str, str]) -> None:
    for file in files:
        if (folder / file).exists():
            raise errors.Conflict(f"{folder / file} exists already", hint="choose another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            with (folder / file).open("x", encoding="utf-8") as opened:
                opened.write(text)
    except OSError as error:
        raise errors.BadRequest(f"cannot write into {folder}: {error.strerror}") from error
