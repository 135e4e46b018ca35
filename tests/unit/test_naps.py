"""When a process that stood still knows it."""

from __future__ import annotations

from runners import naps


class Clock:
    """Goes on when told."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_an_attempt_during_which_the_loop_went_on_turning_was_not_slept_through() -> None:
    clock = Clock()
    seen = naps.Naps(8_000, clock)
    begun = seen.count
    for _ in range(100):
        clock.now_s += 0.5
        assert not seen.slept_since(begun)
        seen.look()
    assert not seen.slept_since(begun)


def test_a_nap_is_known_before_and_after_it_was_looked_at() -> None:
    clock = Clock()
    seen = naps.Naps(8_000, clock)
    begun = seen.count
    clock.now_s += 6.0
    assert seen.slept_since(begun)
    seen.look()
    assert seen.slept_since(begun)
    assert not seen.slept_since(seen.count)


def test_a_clock_that_goes_on_while_the_machine_sleeps_is_the_default() -> None:
    assert naps.awake_or_asleep_s() > 0
    assert not naps.Naps(60_000).slept_since(0)
