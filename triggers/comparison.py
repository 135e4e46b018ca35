"""A bucket compared with what was handled of it, page by page. Everything here blocks: it runs in a thread."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterable, Mapping

import msgspec

from faas import buckets
from faas.core import errors
from triggers import matching

PAGE = 10_000
"""Objects of one page. Large, because a page may have to read the names of its folders again."""


class Page(msgspec.Struct, frozen=True):
    """The keys to look at, the guard fields of keys that are there, and where the next page begins (None: no more).

    ``skipped`` are guard fields, with their values, of objects that were there before a trigger that is to skip them.
    """

    changed: list[str]
    known: set[str]
    skipped: dict[str, str]
    last: str | None


def compare(
    bucket: buckets.Bucket, rules: Iterable[matching.Rule], held: Mapping[str, str], prefix: str, after: str
) -> Page:
    """Which objects of a page concern a rule in a version that its guard does not hold."""
    listed = bucket.list(prefix, after, PAGE)
    page = Page([], set(), {}, listed[-1].key if len(listed) == PAGE else None)
    for item in listed:
        met = {rule.guard_field(item.key): rule for rule in matching.matching(rules, item.key)}
        page.known.update(met)
        before = {field for field, rule in met.items() if field not in held and rule.was_there_before(item)}
        page.skipped.update(dict.fromkeys(before, matching.skipped_value(item)))
        if any(not rule.has_met(held.get(field), item.version) for field, rule in met.items() if field not in before):
            page.changed.append(item.key)
    return page


def gone(bucket: buckets.Bucket, fields: Iterable[str]) -> list[str]:
    """The guard fields whose object is not there any more."""
    return [field for field in fields if not _is_there(bucket, field)]


def _is_there(bucket: buckets.Bucket, field: str) -> bool:
    try:
        bucket.stat(urllib.parse.unquote_plus(matching.key_of(field)))
    except (errors.NotFound, errors.BadRequest):
        return False
    return True
