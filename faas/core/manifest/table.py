"""What may stand in a manifest: one table, from which files are read and the JSON Schema is made."""

from __future__ import annotations

import functools
import urllib.parse
import zoneinfo
from decimal import Decimal
from typing import Any

import msgspec

from faas.core import durations, keeping, model, spelling
from faas.core.manifest import alarms, cron_lines, foreign_units, patterns, shapes
from faas.core.money import tags
from faas.core.objects import globs

_LABEL = shapes.Text(
    "a name of lower-case letters, digits and dashes, at most 63, no dash at its ends",
    pattern=r"[a-z0-9](?:[a-z0-9\-]{0,61}[a-z0-9])?",
)
_VARIABLE = shapes.Text("a name of letters, digits and underscores", pattern=r"[A-Za-z_][A-Za-z0-9_]{0,254}")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_METHOD = shapes.Choice(_METHODS, patterns.method_hint)
_KIB = Decimal(1024)
# Without weeks, as every bound of a manifest is told in days.
_DURATIONS = {unit: Decimal(ms) for unit, ms in durations.UNIT_MS.items() if unit != "w"}
_DEFAULTS = msgspec.structs.asdict(model.FunctionConfig(runtime="", handler=""))


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the manifest, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "faas.yaml",
        "description": "The functions of one project, what triggers them, and the buckets that they use.",
        **manifest_shape().schema(),
    }


@functools.cache
def manifest_shape() -> shapes.Fields:
    """The table: every key of a manifest, with its shape, its default and what it means."""
    path = shapes.Text("a folder", check=patterns.folder_fault, max_length=1024, examples=("./inbox",))
    bucket = shapes.Fields(
        {"path": shapes.Field(path, "A folder of one's own; without it the bucket lives in the data directory.")}
    )
    return shapes.Fields(
        {
            "buckets": shapes.Field(shapes.Mapped(_LABEL, bucket), "The buckets of this project."),
            "functions": shapes.Field(
                shapes.Mapped(_LABEL, _function(), at_least=1), "The functions of this project.", required=True
            ),
            "tags": shapes.Field(_tags(), "Tags of all functions of this project, by which bills add up."),
            "alarms": shapes.Field(_alarms(), "Alarms on the functions of this project, or on the platform."),
        }
    )


@functools.cache
def platform_file() -> shapes.Fields:
    """The table of the platform's own file of alarms."""
    return shapes.Fields({"alarms": shapes.Field(_alarms(), "Alarms on all functions, or on the platform.")})


def _alarms() -> shapes.Mapped:
    return shapes.Mapped(_LABEL, alarms.shape(_LABEL, _duration, _destination(), is_of_function=False))


def _function() -> shapes.Fields:
    parts = (_code(), _attempts(), _reach(), _work(), _style(), _money(), _kept())
    return shapes.Fields({key: field for part in parts for key, field in part.fields.items()})


def _callable() -> shapes.Text:
    return shapes.Text(
        "module.function, package.module.function or folder/module.function",
        pattern=r"(?:[A-Za-z0-9_\-]+[./])*[A-Za-z0-9_\-]+\.[A-Za-z_][A-Za-z0-9_]*",
        check=patterns.handler_fault,
        max_length=512,
        examples=("app.handler",),
    )


def _code() -> shapes.Fields:
    field = shapes.Field
    # Which ones there are is known where it is deployed, not where the manifest is read.
    runtime = shapes.Text(
        "a language like python3, or a version of it like python3.11",
        pattern=r"[a-z][a-z0-9]*(?:[.\-][a-z0-9]+)*",
        max_length=63,
        examples=("python3",),
    )
    return shapes.Fields(
        {
            "runtime": field(
                runtime,
                "The language; python3 takes any version that nodes have. A deploy refuses what none has.",
                True,
            ),
            "handler": field(_callable(), "What to call: module.function.", True),
            "source": field(
                shapes.Text("a folder", check=patterns.folder_fault, max_length=1024),
                "The folder with the code; the manifest's own by default. The manifest is no part of the code.",
            ),
            "requirements": field(
                shapes.Text(
                    "a file inside the source",
                    check=patterns.folder_fault,
                    max_length=1024,
                    examples=("requirements.txt",),
                ),
                "A file inside the source that lists packages.",
            ),
        }
    )


def _attempts() -> shapes.Fields:
    field = shapes.Field
    memory = shapes.Amount(
        {
            unit: factor
            for power, letter in ((-1, "K"), (0, "M"), (1, "G"))
            for unit, factor in ((f"{letter}B", _KIB**power), (f"{letter}iB", _KIB**power))
        },
        64, 10_240, "a size from 64MB to 10GB", round_up=True, translate=foreign_units.size,
    )  # fmt: skip
    cpu = shapes.Amount({"m": Decimal(1)}, 50, 64_000, "cores from 0.05 to 64, or 50m to 64000m", bare=Decimal(1000))
    return shapes.Fields(
        {
            "memory": field(memory, "The memory of one attempt, 64MB to 10GB (1MB is 1024KB).", default="256MB"),
            "cpu": field(cpu, "Cores, from 0.05; also as 500m.", default=_DEFAULTS["cpu_milli"] / 1000),
            "timeout": field(
                _duration(1, 900_000, "1ms to 15min"), "The longest attempt, 1ms to 15min.", default="30s"
            ),
        }
    )


def _reach() -> shapes.Fields:
    field = shapes.Field
    access = shapes.Choice(tuple(model.Access))
    env_value = shapes.Text("text", max_length=32_768)
    return shapes.Fields(
        {
            "env": field(shapes.Mapped(_VARIABLE, env_value), "Environment variables; values are text, in quotes."),
            "network": field(
                shapes.Choice(tuple(model.Network)), "What the function can reach: none, or outbound.", default="none"
            ),
            "buckets": field(shapes.Mapped(_LABEL, access), "The buckets that the function may use: read or write."),
        }
    )


def _work() -> shapes.Fields:
    field = shapes.Field
    return shapes.Fields(
        {
            "max_concurrency": field(
                shapes.Whole(1, 10_000), "The most attempts at once.", default=_DEFAULTS["max_concurrency"]
            ),
            "prewarm": field(shapes.Whole(0, 1_000), "How many sandboxes to hold ready.", default=_DEFAULTS["prewarm"]),
            "triggers": field(shapes.Listed(_trigger()), "What turns into invocations of this function."),
            "retries": field(_retries(), "When a failed attempt of an async invocation is followed by another."),
            "on_success": field(_destination(), "Where the record of an async invocation goes that went well."),
            "on_failure": field(_destination(), "Where the record of an async invocation goes that failed for good."),
            "alarms": field(
                shapes.Mapped(_LABEL, alarms.shape(_LABEL, _duration, _destination(), is_of_function=True)),
                "Alarms on this function. They are no part of a revision.",
            ),
            "idempotent": field(
                shapes.Flag(),
                "Whether running twice is as good as once: then sync calls are tried again too, and wait in the queue.",
                default=_DEFAULTS["idempotent"],
            ),
            "background": field(
                shapes.Flag(),
                "Whether what an attempt leaves running goes on until the next one, for a minute at most; that time is"
                " billed with the next attempt. Else a sandbox is frozen while it has no attempt.",
                default=_DEFAULTS["background"],
            ),
        }
    )


def _style() -> shapes.Fields:
    field = shapes.Field
    return shapes.Fields(
        {
            "style": field(
                shapes.Choice(tuple(model.Style)),
                "How the handler is called: as one of AWS Lambda, or of Alibaba's Function Compute (fc). By default as"
                " it shows itself, and else as one of Lambda.",
                default="auto",
            ),
            "initializer": field(
                _callable(),
                "What to call once when a sandbox starts, with the context: module.function. It makes the style fc.",
            ),
            "pre_stop": field(
                _callable(),
                "What to call before an idle sandbox ends, for 3 s at most: module.function. It makes the style fc.",
            ),
        }
    )


def _money() -> shapes.Fields:
    field = shapes.Field
    return shapes.Fields(
        {
            "tags": field(_tags(), "Tags, by which bills add up; those of the project, too, but for these keys."),
            "budget": field(_budget(), "What the function may cost in a day or month, and what follows then."),
        }
    )


def _kept() -> shapes.Fields:
    duration = _duration(keeping.LEAST_MS, keeping.MOST_MS, "")
    long = msgspec.structs.replace(duration, expected="a duration from 1h to 36500d, or `ever`", words={"ever": 0})
    meanings = {
        keeping.KeepKind.LOGS: "Its log lines.",
        keeping.KeepKind.RECORDS: "Its records. Bills and totals stay.",
        keeping.KeepKind.DEAD_LETTERS: "Its dead letters, and records that could not be delivered.",
        keeping.KeepKind.REVISIONS: "Its revisions that do not serve, but for the last ones (keep_revisions).",
    }
    fields = {kind.value: shapes.Field(long, meaning) for kind, meaning in meanings.items()}
    meaning = (
        "For how long is kept what the function leaves behind. What `faas kept set --function` sets counts above it."
    )
    return shapes.Fields({"keep": shapes.Field(shapes.Fields(fields), meaning)})


def _budget() -> shapes.Fields:
    field = shapes.Field
    span = "an amount of the currency from 0.000000001 to 1000000"
    return shapes.Fields(
        {
            "amount": field(
                shapes.Amount({}, 1_000, 10**18, span, bare=Decimal(10**12)),
                "How much, in the currency of the platform.", True,
            ),
            "per": field(shapes.Choice(tuple(model.Per)), "A day, or a month (UTC).", default="month"),
            "then": field(
                shapes.Choice(tuple(model.Then)),
                "What follows when it is reached: `warn`, or `stop` until the period is over.", default="warn",
            ),
        }
    )  # fmt: skip


def _tags() -> shapes.Mapped:
    key = shapes.Text("a key of letters, digits, `_`, `.` and dashes that begins with a letter", pattern=tags.KEY)
    value = shapes.Text(
        "a value of letters, digits, blanks and any of `_.:/@+-`, at most 128, no sign at its ends", pattern=tags.VALUE
    )
    return shapes.Mapped(key, value, max_items=20)


def _retries() -> shapes.Fields:
    field = shapes.Field
    return shapes.Fields(
        {
            "maximum_retry_attempts": field(
                shapes.Whole(0, 100), "The most further attempts after a failure of the function.", default=2
            ),
            "maximum_event_age": field(
                _duration(1_000, 14 * 86_400_000, "1s to 14d"), "Past this age nothing is tried again.", default="6h"
            ),
            "backoff": field(
                _duration(0, 300_000, "0ms to 5min"),
                "The longest wait before the second attempt; it doubles for each further one, up to 5min.",
                default="1s",
            ),
            "on": field(
                shapes.Listed(shapes.Choice(tuple(model.Retries().on)), or_one=True),
                "The outcomes that are tried again; all four by default.",
            ),
        }
    )


def _destination() -> shapes.Fields:
    field = shapes.Field
    return shapes.Fields(
        {
            "function": field(_LABEL, "A function, which runs on the record."),
            "bucket": field(_LABEL, "A bucket; the record becomes the object `FUNCTION/INVOCATION_ID.json`."),
            "prefix": field(
                shapes.Text("the beginning of keys", check=patterns.prefix_fault, max_length=512),
                "What the object's key begins with; only with `bucket`.",
            ),
            "url": field(
                shapes.Text("a URL", check=_url_fault, max_length=2048, examples=("https://example.com/hook",)),
                "An HTTP or HTTPS URL, to which the record is POSTed, signed.",
            ),
            "secret": field(
                _VARIABLE,
                "The key of `env` whose value signs what is POSTed; without it the setting destination_secret does.",
            ),
        },
        exactly_one=("function", "bucket", "url"),
    )


def _url_fault(url: str) -> str:
    try:
        parts = urllib.parse.urlsplit(url)
        port_fits = parts.port is None or parts.port > 0
    except ValueError:
        port_fits, parts = False, urllib.parse.urlsplit("")
    plain = not parts.username and not parts.password and not parts.fragment and url.isascii() and url.isprintable()
    fits = port_fits and parts.scheme in ("http", "https") and parts.hostname and plain and " " not in url
    return "" if fits else "a URL like https://example.com/hook: http or https, no name and password, no fragment"


def _trigger() -> shapes.Fields:
    field = shapes.Field
    return shapes.Fields(
        {
            "http": field(_http(), "A route of the gateway."),
            "timer": field(_timer(), "Due times."),
            "upload": field(_upload(), "New and changed objects of a bucket."),
        },
        exactly_one=("http", "timer", "upload"),
    )


def _http() -> shapes.Fields:
    field = shapes.Field
    return shapes.Fields(
        {
            "path": field(
                shapes.Text("a path", check=patterns.route_fault, max_length=512, examples=("/thumb/{name}",)),
                "The route; {name} takes one segment, and {name+} at the end all that follow.", True,
            ),
            "methods": field(shapes.Listed(_METHOD, or_one=True), "The methods; every one by default."),
            "max_delay": field(
                _duration(0, durations.LONGEST_DELAY_MS, "0s to 31d"),
                "How long callers may delay an async call by `Faas-Delay`; by default they may not.", default="0s",
            ),
            "cors": field(_cors(), "What pages of other origins may do here; without it nothing."),
            "retries": _own_retries(),
        }
    )  # fmt: skip


def _timer() -> shapes.Fields:
    field = shapes.Field
    return shapes.Fields(
        {
            "cron": field(
                shapes.Text("a cron line of 5 fields, or 6 with seconds first", check=cron_lines.fault, max_length=200),
                "Minute, hour, day, month, weekday; six fields begin with seconds.",
            ),
            "every": field(_duration(1_000, 31 * 86_400_000, "1s to 31d"), "The time between two runs, from 1s."),
            "timezone": field(
                shapes.Text("an IANA time zone", check=_zone_fault, max_length=64, examples=("Europe/Vienna",)),
                "The time zone of the cron line.", default="UTC",
            ),
            "on_missed": field(
                shapes.Choice(tuple(model.OnMissed)), "What to do about due times that passed while down.",
                default="skip",
            ),
            "input": field(shapes.Json(), "The event, instead of a scheduled one; any JSON value."),
            "overlap": field(
                shapes.Choice(tuple(model.Overlap)),
                "What to do at a due time while the last run has not ended: let the new one queue, skip it, or replace"
                " what waits by it. The default is `skip` for `every`, `queue` for `cron` and with `on_missed: all`.",
            ),
            "retries": _own_retries(),
        },
        exactly_one=("cron", "every"),
    )  # fmt: skip


def _upload() -> shapes.Fields:
    field = shapes.Field
    begin = shapes.Text("the beginning of keys", check=patterns.prefix_fault, max_length=1024, examples=("in/",))
    end = shapes.Text("the end of keys", check=patterns.suffix_fault, max_length=1024, examples=(".jpg",))
    return shapes.Fields(
        {
            "bucket": field(_LABEL, "The bucket to watch.", True),
            "prefix": field(begin, "Only keys that begin with this.", default=""),
            "suffix": field(shapes.Listed(end, or_one=True), "Only keys that end with one of these."),
            "ignore": field(
                shapes.Listed(
                    shapes.Text("a pattern", check=_glob_fault, max_length=1024, examples=("*.bak",)), or_one=True
                ),
                "Patterns of keys to leave alone, as `.gitignore` writes them, besides unfinished files; `!*.tmp`"
                " takes one of these back.",
            ),
            "existing": field(
                shapes.Choice(tuple(model.Existing)),
                "What a new trigger does about the objects that are there already: skip or run.",
                default="skip",
            ),
            "retries": _own_retries(),
        }
    )


def _own_retries() -> shapes.Field:
    return shapes.Field(_retries(), "In place of the function's; what is not given here is the function's.")


def _glob_fault(text: str) -> str:
    good = globs.pattern(text) is not None and text.strip() == text and "//" not in text and "\0" not in text
    return "" if good else "a pattern like *.bak, drafts/ or in/**/old, as .gitignore writes them"


def _cors() -> shapes.Fields:
    field = shapes.Field
    origin = shapes.Text(
        "an origin, or *", check=patterns.origin_fault, max_length=300, examples=("https://app.example.com",)
    )
    header = shapes.Text("the name of a header field, or *", pattern=r"[!#$%&'*+.^_`|~0-9A-Za-z\-]{1,100}")
    return shapes.Fields(
        {
            "origins": field(
                shapes.Listed(origin, or_one=True),
                "The origins whose pages may call; `*` is any, and `https://*.example.com` all below that name.", True,
            ),
            "methods": field(
                shapes.Listed(_METHOD, or_one=True), "The methods; those of the route by default."
            ),
            "headers": field(
                shapes.Listed(header, or_one=True), "The header fields that pages may send; any by default."
            ),
            "expose": field(
                shapes.Listed(header, or_one=True),
                "The header fields of answers that pages may read, beside `Faas-Invocation-Id`, `Faas-Error` and"
                " `Retry-After`.",
            ),
            "credentials": field(
                shapes.Flag(), "Whether pages may send cookies and the like; not with the origin `*`.", default=False
            ),
            "max_age": field(
                _duration(0, 86_400_000, "0s to 24h"), "How long browsers need not ask again; they choose by default."
            ),
        }
    )  # fmt: skip


def _duration(at_least: int, at_most: int, span: str) -> shapes.Amount:
    expected = f"a duration from {span}, in whole milliseconds"
    return shapes.Amount(_DURATIONS, at_least, at_most, expected, translate=foreign_units.duration)


def _zone_fault(name: str) -> str:
    if name in _zones():
        return ""
    hint = spelling.did_you_mean(name, _zones())
    return "an IANA time zone like Europe/Vienna" + (f"; {hint}" if hint else "")


@functools.cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())
