"""What follows an attempt, decided without a clock or a server."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies

from faas.core import model
from faas.core.calls import retry

HALF = 0.5
PLAIN = model.Retries()


def decide(retries: model.Retries = PLAIN, **given: Any) -> retry.Decision:
    known = {"attempt": 1, "mode": model.Mode.ASYNC, "status": model.Status.ERROR, "age_ms": 0, **given}
    return retry.decide(retry.EndedAttempt(**known), retries, HALF)


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (model.Status.OK, model.Condition.SUCCESS),
        (model.Status.REJECTED, model.Condition.RETRIES_EXHAUSTED),
    ],
)
def test_what_went_well_or_was_refused_is_settled(status: model.Status, why: model.Condition) -> None:
    assert decide(status=status) == retry.Decision(retry.Next.SETTLE, condition=why)


@pytest.mark.parametrize("status", PLAIN.on)
def test_the_functions_faults_are_tried_twice_more_with_a_backoff_that_doubles(status: model.Status) -> None:
    assert decide(status=status, attempt=1) == retry.Decision(retry.Next.RETRY, 500)
    assert decide(status=status, attempt=2) == retry.Decision(retry.Next.RETRY, 1000)
    assert decide(status=status, attempt=3) == retry.Decision(retry.Next.DEAD)


def test_a_lost_attempt_is_followed_by_another_up_to_a_bound_whatever_the_policy_says() -> None:
    never = model.Retries(maximum_retry_attempts=0, on=())
    assert decide(never, status=model.Status.LOST, attempt=1) == retry.Decision(retry.Next.RETRY, 0)
    assert decide(never, status=model.Status.LOST, attempt=2) == retry.Decision(retry.Next.RETRY, 7_500)
    assert decide(never, status=model.Status.LOST, attempt=retry.MOST_LOST).next is retry.Next.DEAD


def test_an_outcome_that_the_policy_does_not_name_is_not_tried_again() -> None:
    assert decide(model.Retries(on=(model.Status.TIMEOUT,))).next is retry.Next.DEAD


def test_a_handler_that_says_never_is_believed() -> None:
    assert decide(wish=retry.Wish(never=True)).next is retry.Next.DEAD


def test_a_handler_that_names_a_time_is_obeyed_within_the_bounds() -> None:
    wish = retry.Wish(after_ms=7_000)
    assert decide(wish=wish) == retry.Decision(retry.Next.RETRY, 7_000)
    assert decide(wish=wish, attempt=3).next is retry.Next.DEAD
    assert decide(model.Retries(maximum_event_age_ms=6_999), wish=wish).next is retry.Next.DEAD


def test_past_the_greatest_age_nothing_is_tried_again() -> None:
    assert decide(age_ms=PLAIN.maximum_event_age_ms).next is retry.Next.DEAD
    assert decide(age_ms=PLAIN.maximum_event_age_ms, status=model.Status.LOST).next is retry.Next.RETRY
    too_old = decide(age_ms=PLAIN.maximum_event_age_ms + 1, status=model.Status.LOST)
    assert too_old == retry.Decision(retry.Next.DEAD, condition=model.Condition.EVENT_AGE_EXCEEDED)


def test_a_caller_who_waits_gets_the_failure_and_no_dead_letter_is_made() -> None:
    assert decide(mode=model.Mode.SYNC, attempt=3) == retry.Decision(retry.Next.SETTLE)


def test_only_async_invocations_and_idempotent_functions_have_a_policy() -> None:
    plain = model.FunctionConfig(runtime="python3", handler="app.handler")
    idempotent = model.FunctionConfig(runtime="python3", handler="app.handler", idempotent=True)
    assert retry.policy(plain, model.Mode.ASYNC) == PLAIN
    assert retry.policy(plain, model.Mode.SYNC) is None
    assert retry.policy(idempotent, model.Mode.SYNC) == PLAIN


def test_a_triggers_own_policy_stands_in_place_of_the_functions() -> None:
    once = model.Retries(maximum_retry_attempts=0)
    triggers = (model.HttpTrigger(path="/a"), model.TimerTrigger(every_ms=1_000, retries=once))
    config = model.FunctionConfig(runtime="python3", handler="app.handler", triggers=triggers)
    assert [retry.policy(config, model.Mode.ASYNC, place) for place in (None, 0, 1)] == [PLAIN, PLAIN, once]
    assert retry.policy(config, model.Mode.SYNC, 1) is None


@given(
    attempt=strategies.integers(1, 10_000),
    base_ms=strategies.integers(0, retry.LONGEST_BACKOFF_MS),
    draw=strategies.floats(0, 1, exclude_max=True),
)
def test_a_backoff_stays_within_its_bounds(attempt: int, base_ms: int, draw: float) -> None:
    assert 0 <= retry.backoff_ms(attempt, base_ms, draw) <= retry.LONGEST_BACKOFF_MS
