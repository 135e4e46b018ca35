"""How the page writes figures: exact money, durations, folders of a bucket. Run in a browser, where they run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.browser import Seen


@pytest.fixture
def module(seen: Seen) -> Any:
    """Evaluates an expression of a module of the page, as `m`."""
    seen.open("/nodes")
    home = seen.page.evaluate("document.querySelector('script[type=module]').src.replace(/app.js$/, '')")

    def run(path: str, expression: str) -> Any:
        return seen.page.evaluate(f"import('{home}{path}').then((m) => {expression})")

    return run


def test_money_is_exact(module: Any) -> None:
    written = module(
        "format.js", "['0', 1, 8360000, '-1500000000000', '123456789012345678901234'].map((each) => m.money(each))"
    )
    assert written == ["0", "0.000000000001", "0.00000836", "-1.5", "123,456,789,012.345678901234"]
    assert module("format.js", "m.money(2n ** 53n + 1n, 'EUR')") == "9,007.199254740993 EUR"
    assert module("format.js", "m.sum([9007199254740993n, 1]).toString()") == "9007199254740994"
    assert module("format.js", "[0, 12, 8360000, 2500000000000].map(m.moneyShort)") == [
        "0",
        "0.000000000012",
        "0.00000836",
        "2.50",
    ]


def test_integers_that_no_number_holds_stay_exact(module: Any) -> None:
    text = '{"cost_pico":12345678901234567890,"near":1.5,"id":"12345678901234567890"}'
    assert module("api.js", f"m.parsed('{text}').cost_pico.toString()") == "12345678901234567890"
    assert module("format.js", "m.pretty({big: 12345678901234567890n})") == '{\n  "big": 12345678901234567890\n}'


def test_durations_and_sizes_are_short(module: Any) -> None:
    times = module("format.js", "[0, 0.412, 8.25, 999, 1240, 61000, 3700000, 90000000].map(m.ms)")
    assert times == ["0 ms", "0.41 ms", "8.25 ms", "999 ms", "1.24 s", "1 min 1 s", "1 h 2 min", "1 d 1 h"]
    turns = module("format.js", "[999.7, 59970, 119600, 3599700, 86399000, 172790000].map(m.ms)")
    assert turns == ["1.00 s", "1 min 0 s", "2 min 0 s", "1 h 0 min", "1 d 0 h", "2 d 0 h"]
    assert module("format.js", "[0, 999, 1500, 25_000_000].map(m.bytes)") == ["0 B", "999 B", "1.50 KB", "25 MB"]
    assert module("format.js", "[m.share(0, 0), m.share(1, 5000), m.share(1, 3), m.share(0, 9)]") == [
        "–",
        "< 0.1 %",
        "33 %",
        "0 %",
    ]


def test_what_a_line_of_logging_says_is_told_without_what_stands_beside_it(module: Any) -> None:
    lines = {
        "[INFO]\t2026-11-29T18:46:43.190Z\t01a2\tcharged\t{'order': 5}": "charged",
        "[WARNING]\t2026-11-29T18:46:43.190Z\t01a2\ttwo\ttabs\nand a line": "two\ttabs\nand a line",
        "[ERROR] ValueError: no": "[ERROR] ValueError: no",
        "plain": "plain",
    }
    assert module("format.js", f"{json.dumps(list(lines))}.map(m.said)") == list(lines.values())


def test_keys_become_folders(module: Any) -> None:
    keys = "['a.txt', 'in/1', 'in/2', 'in/x/3', 'z'].map((key) => ({key}))"
    assert module("pages/bucket/browsing.js", f"m.grouped({keys}, '').map((each) => each.name)") == ["a.txt", "in", "z"]
    below = "['in/1', 'in/x/3', 'in/x/4'].map((key) => ({key}))"
    found = module("pages/bucket/browsing.js", f"m.grouped({below}, 'in/').map((each) => [each.name, each.isFolder])")
    assert found == [["1", False], ["x", True]]
    again = "m.grouped([{key: 'x/9'}], '', {isFolder: true, key: 'x/'})"
    assert module("pages/bucket/browsing.js", again) == []


def test_phases_of_an_attempt_fill_the_time_before_its_end(module: Any) -> None:
    steps = "[{name: 'claim', ms: 200}, {name: 'import', ms: 100}]"
    attempt = f"{{ended_at_ms: 1000, duration_us: 100000, init_ms: 300, queue_ms: 50, status: 'ok', steps: {steps}}}"
    found = module("waterfall.js", f"m.phases({attempt}).map((each) => [each.kind, each.from, each.to])")
    assert found == [["wait", 550, 600], ["init", 600, 800], ["init", 800, 900], ["run", 900, 1000]]
    again = module("waterfall.js", f"m.phases({attempt}, 580).map((each) => each.from)")
    assert again == [580, 600, 800, 900]


def test_no_line_is_shown_twice(module: Any) -> None:
    line = "(id, at_ms) => ({id, at_ms, invocation_id: 'i', attempt: 1, text: 't'})"
    orders = "[[[0, 1], [7, 1]], [[7, 1], [0, 1]], [[0, 1], [0, 2], [7, 1], [8, 2]], [[7, 1], [8, 1]]]"
    run = f"{orders}.map((order) => m.seenLines().fresh(order.map((each) => ({line})(...each))).length)"
    assert module("seenlines.js", run) == [1, 1, 2, 2]


def test_a_time_without_calls_is_seen_in_a_chart(module: Any) -> None:
    points = "[{at_ms: 120000, count: 3}, {at_ms: 240000, count: 1}]"
    picks = "[{pick: (point) => point.count, otherwise: 0}, {pick: (point) => point.count, otherwise: null}]"
    found = module("charts.js", f"m.filled({points}, 60000, 300000, 60000, {picks})")
    assert found == {"at": [60000, 120000, 180000, 240000], "series": [[0, 3, 0, 1], [None, 3, None, 1]]}
