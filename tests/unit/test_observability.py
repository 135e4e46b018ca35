"""Names of metrics by Prometheus's rules, and a dashboard and alert rules that name none that there is not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import parser

from faas.api import schemas
from faas.api.prometheus import metrics, metrics_budgets, metrics_platform
from faas.cluster import catalog
from faas.core import model
from faas.core.processes import living
from faas.queue import census, outbox, unfit
from faas.store import counters, histograms, kept, ledger

DOCS = Path(__file__).parents[2] / "docs"
FOLDER = DOCS / "observability"

_TYPES = {"counter", "gauge", "histogram", "summary"}
_UNITS = {
    "milliseconds", "microseconds", "nanoseconds", "minutes", "hours", "days", "weeks", "kilobytes", "megabytes",
    "gigabytes", "kibibytes", "mebibytes", "gibibytes", "bits", "percent", "millis", "micros", "percentage",
}  # fmt: skip
"""Units that are no base units."""

_SHORT = {"s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d"}


def total(**changes: Any) -> ledger.Total:
    figures = dict.fromkeys(("count", "billed_ms", "cost_pico", "duration_us", "queue_ms", "init_ms"), 1)
    names = {"function": "f", "trigger": "http", "status": "ok", "cold_start": "full"}
    return ledger.Total(**{**names, **figures, **changes})


def budget() -> schemas.budgets.BudgetState:
    amounts = {"amount_pico": 2, "amount_decimal": "", "spent_pico": 1, "spent_decimal": ""}
    kind = {"per": model.Per.DAY, "then": model.Then.STOP, "period": "2026-11-29", "until_ms": 1}
    return schemas.budgets.BudgetState(function="f", state="under", reached_at_ms=None, **amounts, **kind)


def seen() -> metrics.Scrape:
    """A scrape in which each family has something."""
    figures = ("duration", "queue", "init", histograms.RETRIED, histograms.DEAD, f"{histograms.STEP}import")
    buckets = ((1_000_000, 1), (histograms.NO_BOUND_US, 2))
    found = [histograms.Histogram(function="f", figure=figure, buckets=buckets, sum_us=5) for figure in figures]
    node = catalog.NodeState(catalog=1, host="h", pid=1, memory_mb=1, sandboxes={"idle": 1})
    return metrics.Scrape(
        counted=counters.Counted([total()], found),
        places={"f@1": census.Places(model.Counts(accepted=1, waiting=1), 5)},
        nodes={"n": node},
        outboxes={outbox.Outbox("f@1", "success"): 1},
        undelivered={"f": 1},
        kept={"logs": kept.Kept(count=1, bytes=2, freed=3, freed_bytes=4)},
        unfit={"photos": unfit.Told(1)},
        skipped={"f": 1},
        alarms={"firing": 1},
        budgets=metrics_budgets.Gauged({"under": 1}, [budget()]),
        platform=metrics_platform.Platform(
            sink_lags_ms={"ledger": 5}, processes=[metrics_platform.Process("node", 1, living.ProcessUse(1.0, 2))]
        ),
    )


@pytest.fixture(scope="module")
def text() -> str:
    return metrics.render(seen()).decode()


def families(text: str) -> Iterator[Any]:
    yield from parser.text_string_to_metric_families(text)


def faults(name: str, kind: str, help: str) -> Iterator[str]:
    """What `promtool check metrics` says of a metric; ``name`` is as its samples have it."""
    words = set(name.split("_"))
    if not help:
        yield "no help text"
    if not re.fullmatch("[a-z][a-z0-9_]*", name):
        yield "a colon, or upper case"
    if (kind == "counter") != name.endswith("_total"):
        yield "counters end in _total, and nothing else does"
    if kind not in ("histogram", "summary") and name.endswith(("_bucket", "_count", "_sum")):
        yield "a suffix of histograms"
    if words & _TYPES:
        yield "its type in its name"
    if words & (_UNITS | _SHORT):
        yield "no base unit, or a short one"


def test_names_units_and_kinds_are_by_the_rules(text: str) -> None:
    found = {
        f"{each.name}_total" if each.type == "counter" else each.name: (each.type, each.documentation)
        for each in families(text)
    }
    assert len(found) > 30
    assert {name: said for name, (kind, help) in found.items() if (said := list(faults(name, kind, help)))} == {}
    assert all(name.startswith("faas_") for name in found)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("faas_billed_ms_total", "counter"), ("faas_retries", "counter"), ("faas_waiting_total", "gauge"),
        ("faas_gauge", "gauge"), ("faas_wait_minutes", "gauge"), ("faas:x", "gauge"), ("faas_node_count", "gauge"),
    ],
)  # fmt: skip
def test_the_rules_find_what_is_against_them(name: str, kind: str) -> None:
    assert list(faults(name, kind, "Help."))


def test_each_family_says_what_it_is_and_of_what_kind_once(text: str) -> None:
    helped = re.findall("^# HELP (\\S+) (.+)$", text, re.MULTILINE)
    typed = re.findall("^# TYPE (\\S+) (\\S+)$", text, re.MULTILINE)
    assert len({name for name, _ in helped}) == len(helped)
    assert {name for name, _ in helped} == {name for name, _ in typed}
    assert {kind for _, kind in typed} <= _TYPES


def test_le_stands_on_buckets_alone_and_every_family_has_samples(text: str) -> None:
    for family in families(text):
        assert family.samples, family.name
        for sample in family.samples:
            assert ("le" in sample.labels) == sample.name.endswith("_bucket")


# -- what ships for Prometheus and Grafana


def expressions() -> Iterator[tuple[str, str]]:
    """Each query that ships, and where it stands."""
    rules = yaml.safe_load((FOLDER / "alerts.yaml").read_text(encoding="utf-8"))
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        yield rule["alert"], rule["expr"]
    dashboard = json.loads((FOLDER / "grafana.json").read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for query in re.findall(
        r"\| `([^`]*faas_[^`]*)` \|$", (DOCS / "how-to" / "prometheus.md").read_text(), re.MULTILINE
    ):
        yield "the how-to", query


def test_what_ships_names_only_metrics_and_labels_that_there_are(text: str) -> None:
    labels: dict[str, set[str]] = {}
    for family in families(text):
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    every = set().union(*labels.values())
    found = list(expressions())
    assert len(found) > 40
    for where, query in found:
        named = re.findall(r"\b(faas_\w+)(?:\{([^}]*)\})?", query)
        assert named, where
        for name, chosen in named:
            assert name in labels, (where, name)
            assert set(re.findall(r"(\w+)\s*[=!]~?", chosen)) <= labels[name], (where, name, chosen)
        for group in re.findall(r"\b(?:by|without|ignoring) \(([^)]*)\)", query):
            assert {each.strip() for each in group.split(",")} <= every, (where, group)


def test_every_alert_says_how_bad_it_is_and_what_it_is_about() -> None:
    rules = yaml.safe_load((FOLDER / "alerts.yaml").read_text(encoding="utf-8"))
    every = [rule for group in rules["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in every}) == len(every) > 8
    for rule in every:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"]
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}


def test_panels_of_the_dashboard_have_ids_of_their_own_and_lie_side_by_side() -> None:
    panels = json.loads((FOLDER / "grafana.json").read_text(encoding="utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken and at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells
