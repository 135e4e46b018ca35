"""How often somebody may be wrong about the token."""

from __future__ import annotations

import pytest

from faas.api.entry import guessing
from faas.core import errors


def test_an_address_is_refused_after_ten_wrong_ones_and_no_other() -> None:
    guesses = guessing.Guesses()
    for _ in range(guessing.MOST_OF_ONE):
        guesses.refuse("1.1.1.1", 100.0)
        guesses.wrong("1.1.1.1", 100.0)
    with pytest.raises(errors.Throttled) as refused:
        guesses.refuse("1.1.1.1", 130.0)
    assert refused.value.retry_after_s == 30
    guesses.refuse("2.2.2.2", 130.0)


def test_a_minute_later_it_may_try_again() -> None:
    guesses = guessing.Guesses()
    for _ in range(guessing.MOST_OF_ONE):
        guesses.wrong("1.1.1.1", 100.0)
    guesses.refuse("1.1.1.1", 160.0)


def test_many_addresses_together_are_bounded_and_cost_no_memory() -> None:
    guesses = guessing.Guesses()
    for number in range(guessing.MOST_OF_ALL):
        guesses.refuse(str(number), 100.0)
        guesses.wrong(str(number), 100.0)
    with pytest.raises(errors.Throttled):
        guesses.refuse("one more", 100.0)
    assert len(guesses._wrong) == guessing.MOST_OF_ALL
