"""Which loads are made on whom, and what a run is told as."""

from __future__ import annotations

import pytest

from tests.bench import http_part, load, wanted

_ALL = [http_part.BARE, http_part.FRAMEWORK, http_part.FAAS, http_part.QUEUED]
_RUN = load.Run(answers=1_000, us=1_000_000, p50_us=1, p99_us=2, refused=100, broken=1, timeouts=3)


def _case(name: str, **asked: int) -> http_part.Case:
    return next(case for case in http_part.choose(_ALL, wanted.Wanted(**asked)) if case.name == name)


def test_many_clients_are_sent_only_to_who_can_be_compared() -> None:
    assert _case("32 clients").contenders == tuple(_ALL)
    assert _case("256 clients").contenders == (http_part.BARE, http_part.FAAS)
    assert _case(http_part.ASLEEP).contenders == (http_part.FAAS,)


def test_a_crowd_is_given_two_seconds_for_an_answer_and_a_longer_run() -> None:
    crowd = _case("1,000 clients")
    assert crowd.timeout_s == 2 < crowd.seconds
    assert _case("1,000 clients", seconds=8).seconds == 8
    assert _case("8 clients", seconds=8).seconds == 8


@pytest.mark.parametrize(
    ("clients", "names"),
    [((1,), ["1 client"]), ((256,), ["256 clients", http_part.ASLEEP])],
)
def test_only_what_is_asked_for_is_measured(clients: tuple[int, ...], names: list[str]) -> None:
    assert [case.name for case in http_part.choose(_ALL, wanted.Wanted(clients=clients))] == names


def test_a_refusal_makes_answers_wrong_only_where_few_ask() -> None:
    few, many = (http_part.figures(_RUN, _case(name)) for name in ("8 clients", "256 clients"))
    assert (few["wrong"], many["wrong"]) == (101, 1)
    assert few["not_2xx"] == many["not_2xx"] == 10
    assert many["timeouts"] == 3


def test_slots_are_the_sandboxes_that_hold_a_function() -> None:
    found = http_part.figures(_RUN, _case(http_part.ASLEEP), {"prewarmed": 1, "idle": 20, "busy": 30})
    assert found["sandboxes"] == 50
    assert found["share"] == pytest.approx(900 * 0.05 / 50)
    assert "share" not in http_part.figures(_RUN, _case("256 clients"), {"idle": 50})
