"""Alarms of a manifest, and of the platform's own file: what may stand in one, and what it becomes. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from faas.core import model
from faas.core.alarms import rules
from faas.core.manifest import shapes

LEAST_REMINDER_MS = 60_000
_LONGEST_MS = 31 * 86_400_000

Given = Mapping[str, Any]
"""What was read of one alarm, by its keys."""


def shape(
    label: shapes.Text,
    duration: Callable[[int, int, str], shapes.Amount],
    destination: shapes.Fields,
    *,
    is_of_function: bool,
) -> shapes.Fields:
    """The keys of an alarm; one in a function's block has fewer, as it is on that function."""
    field = shapes.Field
    rule = shapes.Text("a rule", check=rules.fault, max_length=rules.MAX_LENGTH, examples=(rules.EXAMPLE,))
    found = {
        "rule": field(rule, "When it fires: [what a rule may say](../how-to/alarms.md#what-a-rule-says).", True),
        "notify": field(
            shapes.Listed(_notify(destination), or_one=True, max_items=10), "Who is told; the log by default."
        ),
        "remind": field(
            duration(LEAST_REMINDER_MS, _LONGEST_MS, "1min to 31d"), "How often it is told again while it fires."
        ),
    }
    if not is_of_function:
        found["function"] = field(label, "The one function that it is on; all together by default.")
        found["each"] = field(shapes.Flag(), "Whether it is on each function by itself.", default=False)
    return shapes.Fields(found, or_text="rule")


def _notify(destination: shapes.Fields) -> shapes.Fields:
    fields = {name: field for name, field in destination.fields.items() if name != "secret"}
    told = "Whether to write a line in the scheduler's log."
    meanings = {
        "function": "A function, which runs on the message.",
        "bucket": "A bucket; the message becomes the object `alarms/MESSAGE_ID.json`.",
        "url": "An HTTP or HTTPS URL, to which the message is POSTed, signed with the setting destination_secret.",
    }
    kept = {name: shapes.Field(field.shape, meanings.get(name, field.description)) for name, field in fields.items()}
    return shapes.Fields({**kept, "log": shapes.Field(shapes.Flag(), told)}, ("function", "bucket", "url", "log"))


def declared(manifest: Given, destination: Callable[[dict[str, Any]], model.Destination]) -> tuple[model.Alarm, ...]:
    """The alarms of a manifest without faults: its own, and those of its functions."""
    functions: Mapping[str, Given] = manifest["functions"]
    own = [_alarm(name, given, destination, tuple(functions)) for name, given in manifest.get("alarms", {}).items()]
    of_functions = [
        _alarm(f"{function}.{name}", {**given, "function": function}, destination)
        for function, block in functions.items()
        for name, given in block.get("alarms", {}).items()
    ]
    return (*own, *of_functions)


def of_platform(
    declared: Mapping[str, Given], destination: Callable[[dict[str, Any]], model.Destination]
) -> tuple[model.Alarm, ...]:
    """The alarms of the platform's own file without faults."""
    return tuple(_alarm(name, given, destination) for name, given in declared.items())


def _alarm(
    name: str,
    given: Given,
    destination: Callable[[dict[str, Any]], model.Destination],
    functions: tuple[str, ...] = (),
) -> model.Alarm:
    told = [_told(each, destination) for each in given.get("notify", ())]
    return model.Alarm(
        name=name,
        rule=given["rule"],
        function=given.get("function"),
        functions=functions,
        each=given.get("each", False),
        # `log: false` alone is silence that somebody chose: it is in lists and in no log.
        notify=tuple(each for each in told if each is not None) if told else (model.ToLog(),),
        remind_ms=given.get("remind", 0),
    )


def _told(given: dict[str, Any], destination: Callable[[dict[str, Any]], model.Destination]) -> model.Notify | None:
    if "log" in given:
        return model.ToLog() if given["log"] else None
    return destination(given)


class AlarmFault(NamedTuple):
    """Where something is wrong with an alarm, and what was expected."""

    at: shapes.Path
    found: str
    expected: str


def faults(manifest: Given) -> Iterator[AlarmFault]:
    """What is wrong with several values of a manifest's alarms together."""
    functions: Mapping[str, Given] = manifest.get("functions", {})
    yield from platform_faults(manifest.get("alarms", {}))
    for name, given in manifest.get("alarms", {}).items():
        if given.get("function", shapes.INVALID) not in (shapes.INVALID, *functions):
            known = f"one of {', '.join(functions)}"
            yield AlarmFault(("alarms", name, "function"), f"the unknown function {given['function']}", known)
    for function, block in functions.items():
        for name, given in block.get("alarms", {}).items():
            yield from _faults(("functions", function, "alarms", name), {**given, "function": function})


def platform_faults(declared: Mapping[str, Given]) -> Iterator[AlarmFault]:
    """The faults of alarms that belong to no function, each by itself."""
    for name, given in declared.items():
        yield from _faults(("alarms", name), given)


def buckets(manifest: Given) -> Iterator[tuple[shapes.Path, str]]:
    """The buckets that alarms are told to, each with where it stands."""
    for at, told in _destinations(manifest):
        if "bucket" in told:
            yield (*at, "bucket"), told["bucket"]


def _destinations(manifest: Given) -> Iterator[tuple[shapes.Path, Given]]:
    for name, given in manifest.get("alarms", {}).items():
        yield from _notified(("alarms", name), given)
    for function, block in manifest.get("functions", {}).items():
        for name, given in block.get("alarms", {}).items():
            yield from _notified(("functions", function, "alarms", name), given)


def _notified(at: shapes.Path, given: Given) -> Iterator[tuple[shapes.Path, Given]]:
    for index, told in enumerate(given.get("notify", ())):
        if told is not shapes.INVALID:
            yield (*at, "notify", index), told


def _faults(at: shapes.Path, given: Given) -> Iterator[AlarmFault]:
    for place, told in _notified(at, given):
        if "prefix" in told and "bucket" not in told:
            yield AlarmFault((*place, "prefix"), "prefix without bucket", "it only together with bucket")
    if "function" in given and given.get("each"):
        yield AlarmFault((*at, "each"), "each together with function", "one of the two")
    figure = rules.parse(given["rule"]).figure if "rule" in given else None
    if figure is not None and not figure.is_of_functions and ("function" in given or given.get("each")):
        expected = "a figure that functions have; this one is the platform's, for `alarms` at the top"
        yield AlarmFault((*at, "rule"), figure.name, expected)
