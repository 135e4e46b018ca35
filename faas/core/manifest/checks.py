"""What of a manifest can only be judged as a whole: names that must exist, routes that must differ, files on disk."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from faas.core import model, spelling
from faas.core.http import paths
from faas.core.manifest import alarms, patterns, shapes, written_paths

DESTINATIONS = ("on_success", "on_failure")
"""Keys of a function that hold a destination."""


def check(declared: dict[str, Any], folder: Path, reader: shapes.Reader) -> None:
    """Tell the reader every fault that is one of several values together, or of a value and the disk."""
    functions: dict[str, dict[str, Any]] = declared.get("functions", {})
    _bucket_folders(declared.get("buckets", {}), folder, reader)
    # What was wrong by itself is not in ``declared`` any more, so that no fault is told twice.
    for name, function in functions.items():
        _known_buckets(name, function, declared.get("buckets", {}), reader)
        _destinations(name, function, reader)
        _keys(name, function, reader)
        _crossing(name, function, reader)
        _style(name, function, reader)
        _files(name, function, folder, reader)
    _routes(functions, reader)
    _alarms(declared, reader)


def _bucket_folders(buckets: dict[str, dict[str, Any]], folder: Path, reader: shapes.Reader) -> None:
    seen: dict[Path, str] = {}
    for name, bucket in buckets.items():
        if "path" not in bucket:
            continue
        at = ("buckets", name, "path")
        path = written_paths.resolved(folder, bucket["path"])
        if path is None or not (written_paths.is_kind(path, stat.S_ISDIR) or _may_be_made(path)):
            _fault(reader, at, f"{bucket['path']!r}, which is no folder", "a folder")
        # Each trigger would see what the other bucket's functions write.
        elif path in seen:
            _fault(reader, at, f"the folder of the bucket {seen[path]}", "a folder of its own")
        else:
            seen[path] = name


def _known_buckets(name: str, function: dict[str, Any], buckets: dict[str, Any], reader: shapes.Reader) -> None:
    used: list[tuple[shapes.Path, str]] = [
        (("functions", name, "buckets", bucket), bucket) for bucket in function.get("buckets", {})
    ]
    for at, kind, trigger in _triggers(name, function):
        if kind == "upload" and "bucket" in trigger:
            used.append(((*at, "bucket"), trigger["bucket"]))
    for key in DESTINATIONS:
        if "bucket" in function.get(key, {}):
            used.append((("functions", name, key, "bucket"), function[key]["bucket"]))
    _require_buckets(used, buckets, reader)


def _alarms(declared: dict[str, Any], reader: shapes.Reader) -> None:
    for fault in alarms.faults(declared):
        _fault(reader, fault.at, fault.found, fault.expected)
    _require_buckets(alarms.buckets(declared), declared.get("buckets", {}), reader)


def _require_buckets(
    used: Iterable[tuple[shapes.Path, str]], buckets: dict[str, dict[str, Any]], reader: shapes.Reader
) -> None:
    for place, bucket in used:
        if bucket not in buckets:
            known = f"one of {', '.join(buckets)}" if buckets else "a bucket under the key buckets at the top"
            _fault(reader, place, f"the unknown bucket {bucket}", known, spelling.did_you_mean(bucket, buckets))


def _destinations(name: str, function: dict[str, Any], reader: shapes.Reader) -> None:
    """What goes with one kind of destination only, and the secret's name. Functions may be another project's."""
    for key in DESTINATIONS:
        given, at = function.get(key, {}), ("functions", name, key)
        for part, of in (("prefix", "bucket"), ("secret", "url")):
            if part in given and of not in given:
                _fault(reader, (*at, part), f"{part} without {of}", f"it only together with {of}")
        secret = given.get("secret")
        if secret is not None and not function.get("env", {}).get(secret):
            known = ", ".join(function.get("env", {})) or "which is empty"
            _fault(reader, (*at, "secret"), f"{secret}, which env does not hold", f"a key of env ({known})")


def _keys(name: str, function: dict[str, Any], reader: shapes.Reader) -> None:
    """A beginning, an end and what is ignored that are right by themselves, and that no key meets together."""
    for at, kind, trigger in _triggers(name, function):
        begin, ignore = trigger.get("prefix", ""), trigger.get("ignore", ())
        if kind != "upload" or shapes.INVALID in (begin, *ignore):
            continue
        for end in trigger.get("suffix") or ("",):
            made = model.UploadTrigger(bucket=name, prefix=begin, ignore=tuple(ignore))
            if end is not shapes.INVALID and (expected := patterns.upload_fault(made, end)):
                key, found = ("suffix", f"{end!r} behind that prefix") if end else ("prefix", repr(begin))
                _fault(reader, (*at, key), found, expected)


def _crossing(name: str, function: dict[str, Any], reader: shapes.Reader) -> None:
    """What browsers, or the route itself, never allow of what `cors` allows."""
    for at, _, trigger in _triggers(name, function):
        cors = trigger.get("cors", {})
        if cors.get("credentials") and "*" in cors.get("origins", ()):
            _fault(
                reader, (*at, "cors", "credentials"), "true with the origin *", "origins by name: browsers want them"
            )
        methods = {*trigger.get("methods", ()), *({"HEAD"} if "GET" in trigger.get("methods", ()) else ())}
        for method in cors.get("methods", ()):
            if methods and method is not shapes.INVALID and method not in methods:
                known = f"a method of the route ({', '.join(sorted(methods))})"
                _fault(reader, (*at, "cors", "methods"), f"{method}, which the route does not take", known)


def _style(name: str, function: dict[str, Any], reader: shapes.Reader) -> None:
    """Lambda calls nothing but the handler."""
    for key in ("initializer", "pre_stop"):
        if key in function and function.get("style") == "lambda":
            _fault(reader, ("functions", name, key), f"{key} with `style: lambda`", "it only with `style: fc`")


def _files(name: str, function: dict[str, Any], folder: Path, reader: shapes.Reader) -> None:
    source = written_paths.resolved(folder, function.get("source", "."))
    at = ("functions", name, "source")
    if source is None or not written_paths.is_kind(source, stat.S_ISDIR):
        _fault(reader, at, f"{function.get('source', '.')!r}, which is no folder", "a folder that exists")
        return
    if "requirements" not in function:
        return
    file = written_paths.resolved(source, function["requirements"])
    at = ("functions", name, "requirements")
    if file is None or not file.is_relative_to(source):
        _fault(reader, at, f"{function['requirements']!r}, outside the source", f"a file inside {source}")
    elif not written_paths.is_kind(file, stat.S_ISREG):
        _fault(reader, at, f"{function['requirements']!r}, which is no file", f"a file inside {source}")


def _routes(functions: dict[str, dict[str, Any]], reader: shapes.Reader) -> None:
    taken: list[tuple[object, frozenset[str], str, int]] = []
    for name, function in functions.items():
        for at, kind, trigger in _triggers(name, function):
            if kind != "http" or "path" not in trigger:
                continue
            shape = paths.shape(trigger["path"])
            methods = frozenset(trigger.get("methods", ()))
            place = reader.places[(*at, "path")]
            for other_shape, other_methods, other, line in taken:
                if shape == other_shape and (not methods or not other_methods or methods & other_methods):
                    found = f"the route of {other} (line {line})"
                    reader.fault(place, (*at, "path"), found, "a path or methods of its own")
                    break
            else:
                taken.append((shape, methods, name, place.line))


def _triggers(name: str, function: dict[str, Any]) -> Iterator[tuple[shapes.Path, str, dict[str, Any]]]:
    for index, trigger in enumerate(function.get("triggers", ())):
        if trigger is not shapes.INVALID:
            for kind, given in trigger.items():
                yield ("functions", name, "triggers", index, kind), kind, given


def _may_be_made(path: Path) -> bool:
    """Whether nothing is there, and something could be: its name is not too long, and above it is no file."""
    try:
        path.lstat()
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False
    return False


def _fault(reader: shapes.Reader, at: shapes.Path, found: str, expected: str, hint: str = "") -> None:
    # A value that was left out has no place: then that of what it would stand in.
    place = next(reader.places[at[:size]] for size in range(len(at), -1, -1) if at[:size] in reader.places)
    reader.fault(place, at, found, expected, hint)
