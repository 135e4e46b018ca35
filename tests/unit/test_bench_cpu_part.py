"""What the processor time of a run is divided by, and which platforms are started for it."""

from __future__ import annotations

import click
import pytest

from tests.bench import cpu_part, load, wanted


def _run(**counts: int) -> load.Run:
    return load.Run(**{"answers": 100, "us": 1, "p50_us": 1, "p99_us": 1, "refused": 0, "broken": 0, **counts})


def test_the_time_of_all_processes_is_shared_out_among_good_answers() -> None:
    figures = cpu_part.per_call({"node": 800.0, "redis": 160.0}, _run(refused=20))
    assert figures == {"all_us": 12.0, "node_us": 10.0, "redis_us": 2.0, "wrong": 20.0}


def test_a_run_without_a_good_answer_has_no_figures() -> None:
    with pytest.raises(click.ClickException, match="no call was answered well"):
        cpu_part.per_call({"node": 800.0}, _run(refused=100))


def test_a_platform_is_started_for_each_number_of_nodes() -> None:
    assert cpu_part.platforms(()) == {"faas": {}}
    assert cpu_part.platforms((1, 4)) == {"faas": {"nodes": "1"}, "faas, 4 nodes": {"nodes": "4"}}


def test_numbers_are_read_from_a_list_and_each_is_at_least_one() -> None:
    assert wanted.numbers("1,8,32") == (1, 8, 32)
    assert wanted.numbers("") == ()
    for text in ("0", "1,x", "-3"):
        with pytest.raises(ValueError, match=text.lstrip("1,")):
            wanted.numbers(text)


def test_cases_are_called_by_their_clients() -> None:
    assert [wanted.clients(count) for count in (1, 8, 1_000)] == ["1 client", "8 clients", "1,000 clients"]
