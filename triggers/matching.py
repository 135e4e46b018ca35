"""Which objects of a bucket concern which functions; pure functions over keys."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from faas.core import events, model, object_keys
from triggers import catalog


class Rule(msgspec.Struct, frozen=True):
    """One upload trigger of a current revision; ``place`` is where it stands among the function's triggers."""

    revision: model.Revision
    place: int
    trigger: model.UploadTrigger

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


def rules_by_bucket(snapshot: catalog.Snapshot) -> dict[str, tuple[Rule, ...]]:
    """The upload triggers in force, by the bucket that they look at."""
    found: dict[str, tuple[Rule, ...]] = {}
    for revision, place, trigger in snapshot.triggers(model.UploadTrigger):
        found[trigger.bucket] = (*found.get(trigger.bucket, ()), Rule(revision, place, trigger))
    return found


def matching(rules: Iterable[Rule], key: str) -> list[Rule]:
    """The rules that a key meets, one for each function and prefix; none for names of unfinished files."""
    if is_ignored(key):
        return []
    found: dict[tuple[str, str], Rule] = {}
    for rule in rules:
        trigger = rule.trigger
        if key.startswith(trigger.prefix) and (not trigger.suffix or key.endswith(trigger.suffix)):
            found.setdefault((rule.revision.function, trigger.prefix), rule)
    return list(found.values())


def is_ignored(key: str) -> bool:
    """Whether a key is hidden (a name in it starts with a dot) or has the name that programs give unfinished files."""
    return object_keys.is_ignored(key)
