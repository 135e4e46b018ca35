"""How much may wait and how much is kept, and the errors that refuse what is too much."""

from __future__ import annotations

from typing import Any

import msgspec

from faas.core import errors, groups, model

_LEDGER_AGAIN_S = 5


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How much may wait: per revision and mode, and in all (there with what runs, and what is due only later).

    Of all of it a function has at most as much as it leaves free, so the half when it is alone, and a caller half of
    what he leaves free, so a third: whoever has nothing here finds room (docs/decisions/0024).
    Past ``unrecorded_bytes`` of records that wait for the ledger nothing more is accepted: their ends need the room. A
    function gets no more of it than it leaves free, too (`has_room`).
    """

    sync: int = 10_000
    asynchronous: int = 1_000_000
    total: int = 2_000_000
    total_bytes: int = 512 * 1024 * 1024
    unrecorded_bytes: int = 256 * 1024 * 1024

    @classmethod
    def of(cls, queues: groups.Queues) -> Bounds:
        """What the settings say."""
        return cls(
            sync=queues.max_waiting,
            asynchronous=queues.max_waiting_async,
            total=queues.max_waiting_total,
            total_bytes=queues.max_waiting_bytes,
            unrecorded_bytes=queues.max_unrecorded_bytes,
        )

    def waiting(self, mode: model.Mode) -> int:
        """How many of one revision may wait."""
        return self.sync if mode is model.Mode.SYNC else self.asynchronous


class KeptOutcomes(msgspec.Struct, frozen=True):
    """How long the outcomes of async invocations are kept, how many at most, and how large a result may be.

    All of them together have up to ``most_bytes``: then the oldest goes. The answers of idempotency keys have up to
    ``answers_bytes``: then no key is taken in, because each stands for the time that was promised.
    """

    for_ms: int = 600_000
    most: int = 100_000
    result_bytes: int = 65_536
    most_bytes: int = 128 * 1024 * 1024
    answers_bytes: int = 256 * 1024 * 1024

    @classmethod
    def of(cls, results: groups.Results) -> KeptOutcomes:
        """What the settings say."""
        return cls(
            results.keep_results_ms,
            results.max_kept_results,
            results.max_kept_result_bytes,
            results.max_kept_bytes,
            results.max_answers_bytes,
        )


def has_room(own_bytes: int, all_bytes: int, most_bytes: float) -> bool:
    """Whether records of one who has so much of them may be added where at most so much of all may be: his share."""
    return all_bytes < most_bytes if own_bytes <= 0 else own_bytes < most_bytes - all_bytes


def check(answer: list[Any], bounds: Bounds, ref: str, mode: model.Mode) -> None:
    """Raise what an enqueue was refused for: `errors.Throttled`, or `errors.Unavailable` for a key that lapsed."""
    error = refusal(answer, bounds, ref, mode)
    if error is not None:
        raise error


def refusal(answer: list[Any], bounds: Bounds, ref: str, mode: model.Mode) -> errors.FaasError | None:
    """What an enqueue was refused for, as an error; None when it was not."""
    if answer[0] == b"full":
        most = bounds.waiting(mode)
        return errors.Throttled(f"{answer[1]} {mode} invocations of {ref} are waiting", limit=most, function=ref)
    if answer[0] == b"entries":
        return errors.Throttled(f"{answer[1]} invocations wait or run", limit=bounds.total)
    if answer[0] == b"bytes":
        return errors.Throttled(f"what waits or runs has {answer[1]} bytes", limit=bounds.total_bytes)
    # Both are told the bound of all: a share has no number of its own, it shrinks as others come.
    if answer[0] in (b"share", b"caller"):
        is_function = answer[0] == b"share"
        return errors.Throttled(
            f"{ref.rpartition('@')[0] if is_function else 'this caller'} has {answer[1]} invocations of {answer[2]}"
            " bytes that wait or run: the rest is for others",
            limit=bounds.total_bytes,
            hint="see the settings max_waiting_bytes and max_waiting_total",
        )
    if answer[0] == b"records":
        return errors.Throttled(
            f"{answer[1]} bytes of records of {ref.rpartition('@')[0]} wait for the ledger: the rest is for others",
            limit=bounds.unrecorded_bytes,
            retry_after_s=_LEDGER_AGAIN_S,
            hint="does it log much, and does a recorder run? see `faas doctor` and the setting max_unrecorded_bytes",
        )
    if answer[0] == b"unrecorded":
        return errors.Throttled(
            f"{answer[1]} bytes of records wait for the ledger",
            limit=bounds.unrecorded_bytes,
            retry_after_s=_LEDGER_AGAIN_S,
            hint="does a recorder run, and does its database take writes? see `faas doctor`",
        )
    if answer[0] == b"lapsed":
        return errors.Unavailable("this took too long for the idempotency key to hold", hint="try again")
    return None
