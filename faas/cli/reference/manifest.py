"""Every key of `faas.yaml`, from the table that the loader and the JSON Schema are made from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from faas.cli.reference import markdown
from faas.core.manifest import patterns, shapes, table

EXAMPLE = """\
buckets:
  photos: {}                      # lives in the data directory; {path: ./inbox} for a folder of one's own
  thumbs: {}
functions:
  transcode:
    runtime: python3              # python3 takes any version that the base image has
    handler: app.handler          # also package.module.handler
    source: ./transcode           # a folder; the manifest's own by default
    requirements: requirements.txt
    memory: 512MB
    timeout: 60s
    env: {QUALITY: "80"}
    buckets: {photos: read, thumbs: write}
    triggers:
      - upload: {bucket: photos, prefix: in/, suffix: [.jpg, .png]}
      - http: {path: "/thumb/{name}", methods: [GET]}
      - timer: {cron: "*/5 * * * *", timezone: Europe/Vienna, on_missed: once}
      - timer: {every: 10s}
"""

_INTRO = (
    "`faas.yaml` says what a project consists of: its functions, what triggers them, and the buckets that they use. "
    "`faas deploy` reads it, `faas init` writes one with a comment on every line, and `faas schema` prints its JSON "
    "Schema for editors.",
    f"```yaml\n{EXAMPLE}```",
    "Every fault of a file is told at once, one a line, with its place, what was found and what is expected:",
    '```text\nfaas.yaml:10:13: functions.transcode.memory: found "32MB", expected a size from 64MB to 10GB\n```',
)
_PATTERNS = (
    "## What patterns and paths accept",
    "Nothing is deployed that can never match. What another tool would understand is refused with what to write "
    "instead; text that YAML takes for something else is shown in quotes.",
    markdown.table(
        ("value", "accepts", "does not mean here, and is refused"),
        [
            (
                "`http.path`",
                "`/users`, `/users/{id}` (one segment), `/files/{path+}` (all that follow, at the end); what URLs do"
                " not hold is escaped: `/stra%C3%9Fe`",
                "`/*`, `**`, `:id`, `<id>`, `<int:id>`, `[id]`, `{id:int}`, `{path:path}`, `^…$` and other regular"
                " expressions, a query, a host, `GET /x`, a slash at the end, `..`",
            ),
            (
                "`upload.prefix`, `on_….prefix`",
                "the beginning of keys, letter by letter: `in/`, `in/2026-`",
                "`/in/`, `./in/`, `in/*`, `in/**`, `~/in/`, `s3://b/in/`, `in\\x`, `in/{user}/`, `^in/`, names that"
                " begin with a dot",
            ),
            (
                "`upload.suffix`",
                "the end of keys, letter by letter, capitals included: `.jpg`, `[.jpg, .JPG]`, `/done.txt`",
                "`*.jpg`, `*.{jpg,png}`, `.jpg,.png`, `\\.jpg$`, names of unfinished files (`.part`, `.tmp`, …), an end"
                " that no key with that prefix can have",
            ),
            (
                "`buckets.NAME.path`, `source`, `requirements`",
                "a path, from the manifest's folder or from `/`",
                "`~/inbox`, `$HOME/inbox`, `C:\\inbox`, `inbox/*`, `s3://…`, `file://…`",
            ),
            (
                "`timer.cron`",
                "5 fields, or 6 with seconds first; `*`, `a-b`, `a,b`, `*/n`, `a/n`, `MON`, `JAN`, `L`, `LW`, `5L`,"
                " `MON#2`; days of the week from 0 or 7 (Sunday)",
                "a step past the end of its field (`*/90`, `*/60`), `?`, `W`, `L-3`, a year, `@daily`, `daily`,"
                " `@every 5m`, `PT5M`, `rate(…)`, `cron(…)`, `H/15`, `TZ=…`, `FRI-MON`, `22-2`, what never comes"
                " (`0 0 30 2 *`)",
            ),
            (
                "`timer.every` and other durations",
                "a number and `ms`, `s`, `m`, `min`, `h` or `d`: `5m`",
                "`5 minutes`, `PT5M`, `1h30m`, `00:05:00`, `@every 5m`, a number alone",
            ),
            (
                "`timer.timezone`",
                "a name of the IANA list: `Europe/Vienna`",
                "`CEST`, `UTC+2`, `+02:00`",
            ),
            (
                "`http.cors.origins`",
                "`*`, `https://app.example.com`, `http://localhost:3000`, `https://*.example.com`",
                "`app.example.com`, a path or a slash behind it, capitals, `null`, the usual port",
            ),
        ],
    ),
)
_RULES = (
    "## What is checked besides",
    "- A folder that `source` names exists, and `requirements` is a file inside it.\n"
    "- Every bucket that a function, an upload trigger or a destination names stands under `buckets`.\n"
    "- A function that is a destination is one of the project, or deployed (the deploy looks).\n"
    "- No two functions answer the same method on the same path, however it is escaped.\n"
    f"- A route is outside the gateway's own paths: {', '.join(f'`/{name}`' for name in patterns.RESERVED)}.\n"
    "- Two buckets never share a folder, and each is "
    "[where a bucket may be](buckets.md#where-a-bucket-may-be) (the deploy looks).\n"
    "- No key stands twice, and none is unknown.",
)


def page() -> str:
    """The whole page."""
    return markdown.page("The manifest", [*_INTRO, *_sections("", table.manifest_shape()), *_PATTERNS, *_RULES])


def _sections(at: str, fields: shapes.Fields) -> Iterator[str]:
    yield f"## {f'`{at}`' if at else 'Top level'}"
    if fields.exactly_one:
        yield f"Exactly one of {_or(fields.exactly_one)} must be there."
    if fields.or_text:
        yield f"A text alone is the `{fields.or_text}`."
    rows = [
        (f"`{name}`", kind(field.shape), _default(field), field.description) for name, field in fields.fields.items()
    ]
    yield markdown.table(("key", "value", "default", "meaning"), rows)
    for name, field in fields.fields.items():
        below = f"{at}.{name}" if at else name
        yield from _below(below, field.shape)


def _below(at: str, shape: shapes.Shape) -> Iterator[str]:
    if isinstance(shape, shapes.Fields):
        yield from _sections(at, shape)
    elif isinstance(shape, shapes.Mapped):
        yield from _below(f"{at}.NAME", shape.of)
    elif isinstance(shape, shapes.Listed):
        yield from _below(f"{at}[]", shape.of)


def _default(field: shapes.Field) -> str:
    if field.required:
        return "required"
    return "" if field.default is None else f"`{json.dumps(field.default)}`"


def kind(shape: shapes.Shape) -> str:
    """What may stand there, in words. Raises `TypeError` for a shape that this page does not know."""
    match shape:
        case shapes.Text():
            examples = [example for example in shape.examples if example not in shape.expected]
            longest = "" if shape.max_length == shapes.Text().max_length else f"; at most {shape.max_length} characters"
            return f"{shape.expected}{', such as ' if examples else ''}{_or(examples)}{longest}"
        case shapes.Choice():
            return _or(shape.words)
        case shapes.Whole():
            return f"a whole number from {shape.at_least} to {shape.at_most}"
        case shapes.Amount():
            return f"{shape.expected}; units {', '.join(f'`{unit}`' for unit in shape.units)}"
        case shapes.Listed():
            longest = f"at most {shape.max_items}"
            return f"{kind(shape.of)}; or a list of them, {longest}" if shape.or_one else f"a list, {longest}"
        case shapes.Mapped():
            has_section = isinstance(shape.of, shapes.Fields)
            values = "" if has_section else f"; each value {kind(shape.of)}"
            entries = f"{f'{shape.at_least} to' if shape.at_least else 'at most'} {shape.max_items} entries"
            return f"a mapping of {entries}; each key {shape.key.expected}{values}"
        case shapes.Fields():
            alone = f"{kind(shape.fields[shape.or_text].shape)}, or " if shape.or_text else ""
            return f"{alone}a mapping with {', '.join(f'`{name}`' for name in shape.fields)}"
        case shapes.Flag():
            return "`true` or `false`"
        case shapes.Json():
            return "any value that JSON can hold"
        case _:
            raise TypeError(f"no words for {type(shape).__name__}")


def _or(words: Sequence[str]) -> str:
    return " or ".join(f"`{word}`" for word in words)
