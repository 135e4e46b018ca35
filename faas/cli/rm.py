"""`faas rm`: functions, and objects of buckets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import click

from faas.cli import asking, client, names, options, output, places
from faas.core import errors, spelling


@click.command()
@click.argument("things", nargs=-1, required=True, metavar="NAME|BUCKET/KEY...", shell_complete=names.functions)
@click.option("--recursive", "-r", is_flag=True, help="Remove every object whose key starts so: -r photos/in/.")
@asking.yes_option
@options.json_option
def rm_command(*, things: tuple[str, ...], recursive: bool, agrees: bool, as_json: bool) -> None:
    """Remove functions by NAME, or objects by BUCKET/KEY. It asks first.

    The records, logs and objects of a function stay; the alarms of its block go with it, and are named. An object is
    gone for good, and nothing runs because of that.

    \b
    faas rm hello
    faas rm hello resize --yes
    faas rm photos/in/cat.jpg
    faas rm -r photos/in/
    """
    api = client.connect()
    functions = [thing for thing in things if "/" not in thing and ":" not in thing]
    objects = [places.parse(thing) for thing in things if thing not in functions]
    if recursive and functions:
        raise errors.BadRequest(
            f"-r removes what is in buckets, and {functions[0]!r} names a function", hint=f"faas rm -r {functions[0]}/"
        )
    if functions:
        _require(api, functions)
        asking.sure(f"{_listed(functions)}", agrees=agrees)
    chosen = _chosen(api, objects, agrees=agrees) if recursive else _single(objects, agrees=agrees)
    alarms: list[str] = []
    removed = [*_functions(api, functions, alarms), *_objects(api, chosen)]
    if as_json:
        output.emit({"removed": removed, "alarms_removed": alarms})


def _require(api: client.Client, functions: Sequence[str]) -> None:
    """Raise `errors.NotFound` for the first that is not there, before anything goes."""
    there = {each["name"] for each in api.get("/api/v1/functions")["functions"]}
    for name in functions:
        if name not in there:
            raise _unknown(api, name, there)


def _unknown(api: client.Client, name: str, there: Iterable[str]) -> errors.NotFound:
    is_bucket = any(each["name"] == name for each in api.get("/buckets")["buckets"])
    hint = f"{name} is a bucket: `faas rm {name}/KEY` removes an object of it" if is_bucket else ""
    close = spelling.did_you_mean(name, there)
    return errors.NotFound(f"no function is called {name}", hint=hint or close or "`faas ls` lists them")


def _listed(functions: Sequence[str]) -> str:
    return f"the function{'s' if len(functions) > 1 else ''} {', '.join(functions)}"


def _single(objects: list[places.KeyPlace], *, agrees: bool) -> list[places.KeyPlace]:
    for place in objects:
        if not place.key or place.key.endswith("/"):
            raise errors.BadRequest(f"{place} names no object", hint=f"faas rm -r {place} removes what is below it")
    if objects:
        asking.sure(f"the object{'s' if len(objects) > 1 else ''} {', '.join(map(str, objects))}", agrees=agrees)
    return objects


def _chosen(api: client.Client, starts: Sequence[places.KeyPlace], *, agrees: bool) -> list[places.KeyPlace]:
    found = [places.KeyPlace(start.bucket, each["key"]) for start in starts for each in places.objects(api, start)]
    if not found:
        raise errors.NotFound(f"no object's key starts with {', '.join(map(str, starts))}", hint="see `faas ls BUCKET`")
    below = ", ".join(map(str, starts))
    asking.sure(f"{asking.counted(len(found), 'object')} below {below}", agrees=agrees)
    return found


def _functions(api: client.Client, functions: Sequence[str], alarms: list[str]) -> list[str]:
    """Remove functions; their names. ``alarms`` gets the names of the alarms that went with them."""
    removed = []
    for name in functions:
        gone = api.send("DELETE", f"/api/v1/functions/{client.quote(name)}").value
        removed.append(str(gone["name"]))
        output.say(f"removed {name}")
        for alarm in gone.get("alarms", ()):
            output.say(f"removed the alarm {alarm} with it")
            alarms.append(alarm)
    return removed


def _objects(api: client.Client, objects: Sequence[places.KeyPlace]) -> list[str]:
    removed = []
    for place in objects:
        api.send("DELETE", places.path(place))
        output.say(f"removed {place}")
        removed.append(str(place))
    return removed
