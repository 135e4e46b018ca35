"""What the benchmark reads in wrk's output."""

from __future__ import annotations

import click
import pytest

from tests.bench import load

_OUTPUT = """Running 2s test @ http://127.0.0.1:8080/fn/greet
  1 threads and 32 connections
Requests/sec:   1000.00

{"answers": 2000, "us": 2000000, "p50_us": 130, "p99_us": 900, "refused": 500, "broken": 1, "timeouts": 7}
"""


def test_refused_calls_are_no_answers_per_second() -> None:
    run = load.parse(_OUTPUT)
    assert run.per_s == 750
    assert (run.p50_us, run.p99_us, run.refused, run.broken, run.timeouts) == (130, 900, 500, 1, 7)


@pytest.mark.parametrize("stdout", ["", "unable to connect to 127.0.0.1:1 Connection refused"])
def test_what_wrk_says_instead_of_figures_is_the_error(stdout: str) -> None:
    with pytest.raises(click.ClickException, match="wrk failed: cannot"):
        load.parse(stdout, "cannot connect")


def test_a_machine_without_wrk_gets_one_line_that_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(click.ClickException, match="apt-get install wrk"):
        load.demand()
