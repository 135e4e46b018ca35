"""Which objects of a bucket concern which functions; pure functions over keys."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from faas import buckets
from faas.core import events, model
from triggers import catalog

_SKIPPED = "skipped "


class News(msgspec.Struct, frozen=True):
    """A trigger that is new, or fits other keys than ``before``: what was there by ``since_ms`` is not for it."""

    since_ms: int
    before: tuple[model.UploadTrigger, ...] = ()


class Rule(msgspec.Struct, frozen=True):
    """One upload trigger of a current revision; ``place`` is where it stands among the function's triggers.

    ``news`` is what of it is not settled yet: about which objects it has to be told that they were there before it.
    """

    revision: model.Revision
    place: int
    trigger: model.UploadTrigger
    news: News | None = None

    def was_there_before(self, found: buckets.Object) -> bool:
        """Whether an object that nothing is known of was in the bucket before the trigger, which is to skip it."""
        news = self.news
        if news is None or found.appeared_ms > news.since_ms:
            return False
        return not any(part.concerns(found.key) for part in news.before)

    def has_met(self, held: str | None, version: str) -> bool:
        """Whether a guard says that this version needs no run, however often it came back.

        One that was skipped does need one, once the trigger asks for what is there.
        """
        if held is None:
            return False
        is_skipped = held.startswith(_SKIPPED)
        is_same = held.removeprefix(_SKIPPED).partition("+")[0] == version
        return is_same and not (is_skipped and self.trigger.existing is model.Existing.RUN)

    def guard_field(self, key: str) -> str:
        """Where `guard_key` holds the last version of a key that was given to this function.

        ``<function>\\x1f<prefix>\\x1f<key>``, prefix and key as events spell keys. The prefix stands for the trigger: a
        deploy that changes other triggers, or only the suffixes, does not run again what has been handled.
        """
        return "\x1f".join((self.revision.function, events.form_key(self.trigger.prefix), events.form_key(key)))


def guard_key(bucket: str) -> str:
    """The guard hash of a bucket: what was enqueued of it, field `Rule.guard_field`, value `Object.version`."""
    return f"objects:{bucket}"


def key_of(guard_field: str) -> str:
    """The key in a guard's field, as events spell it."""
    return guard_field.rpartition("\x1f")[2]


def guard_value(found: buckets.Object, *, was_away: bool) -> str:
    """What the guard holds of an object that was given to a function: its version.

    One that had gone and came back is the same version and yet to run again, once for each time that it came.
    """
    return f"{found.version}+{found.changed_ns}" if was_away else found.version


def skipped_value(found: buckets.Object) -> str:
    """What the guard holds of an object that was there before a trigger that is to skip it."""
    return _SKIPPED + found.version


def below(prefixes: Collection[str], fields: Iterable[str]) -> list[str]:
    """The guard fields whose keys start with one of the prefixes."""
    starts = tuple(events.form_key(prefix) for prefix in prefixes)
    return [field for field in fields if key_of(field).startswith(starts)]


def rules_by_bucket(snapshot: catalog.Snapshot) -> dict[str, tuple[Rule, ...]]:
    """The upload triggers in force, by the bucket that they look at."""
    found: dict[str, tuple[Rule, ...]] = {}
    for revision, place, trigger in snapshot.triggers(model.UploadTrigger):
        found[trigger.bucket] = (*found.get(trigger.bucket, ()), Rule(revision, place, trigger))
    return found


def matching(rules: Iterable[Rule], key: str) -> list[Rule]:
    """The rules that a key meets, one for each function and prefix; none for what is no key."""
    if is_hidden(key):
        return []
    found: dict[tuple[str, str], Rule] = {}
    for rule in rules:
        if rule.trigger.concerns(key):
            # Triggers of one function that differ in their suffixes alone share their guard, and would run twice for
            # one object.
            found.setdefault((rule.revision.function, rule.trigger.prefix), rule)
    return list(found.values())


def is_hidden(key: str) -> bool:
    """Whether a name in it starts with a dot: then it is no object's key."""
    return any(name.startswith(".") for name in key.split("/"))
