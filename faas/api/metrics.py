"""/metrics: what the ledger added up and where the queue's invocations are, in the Prometheus format.

Counters and histograms come from SQL, gauges from Redis, and none from this process: they are right after a restart,
and the same whichever control API is asked. Durations are in seconds, cost is in units of the currency.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec
import prometheus_client
from prometheus_client import core, registry

from faas.cluster import catalog
from faas.core import model
from faas.queue import census, outbox, unfit
from faas.store import histograms, kept, ledger

_US_PER_S = 1_000_000
_PICO = 10**12
_FIGURES = {
    "duration": ("faas_duration_seconds", "Time in handlers, of attempts that ran."),
    "queue": ("faas_queue_seconds", "Time from acceptance to a slot."),
    "init": ("faas_init_seconds", "Time to a sandbox with user code loaded, of attempts that started cold."),
}
_PLACES = {
    "waiting": "Invocations that wait in a queue.",
    "running": "Invocations that a node has claimed.",
    "retrying": "Invocations that are due again later.",
}


class Scrape(msgspec.Struct, frozen=True, kw_only=True):
    """What one scrape saw."""

    totals: Sequence[ledger.Total] = ()
    histograms: Sequence[histograms.Histogram] = ()
    places: Mapping[str, census.Places] = {}
    nodes: Mapping[str, catalog.NodeState] = {}
    outboxes: Mapping[outbox.Outbox, int] = {}
    undelivered: Mapping[str, int] = {}
    kept: Mapping[str, kept.Kept] = {}
    unfit: Mapping[str, unfit.Told] = {}
    skipped: Mapping[str, int] = {}
    alarms: Mapping[str, int] = {}


def render(seen: Scrape) -> bytes:
    """The body of /metrics."""
    collecting = prometheus_client.CollectorRegistry(auto_describe=False)
    collecting.register(_Collector(seen))
    return prometheus_client.generate_latest(collecting)


class _Collector(registry.Collector):
    """Hands the families of one scrape to prometheus-client."""

    def __init__(self, seen: Scrape) -> None:
        self._seen = seen

    def collect(self) -> Iterable[core.Metric]:
        yield from _counters(self._seen.totals)
        yield from _distributions(self._seen.histograms)
        yield from _queues(self._seen.places)
        yield from _destinations(self._seen.outboxes, self._seen.undelivered)
        yield from _nodes(self._seen.nodes)
        yield from _kept(self._seen.kept)
        yield _unfit(self._seen.unfit)
        yield _skipped(self._seen.skipped)
        yield _alarms(self._seen.alarms)


def _counters(totals: Sequence[ledger.Total]) -> Iterator[core.Metric]:
    yield _counter(
        "faas_invocations", "Attempts of invocations that ended.", ("function", "trigger", "status"),
        totals, lambda total: total.count,
    )  # fmt: skip
    cold = [total for total in totals if total.cold_start != model.ColdStart.NONE.value]
    yield _counter(
        "faas_cold_starts", "Attempts that waited for a sandbox (full) or for user code only (prewarmed).",
        ("function", "cold_start"), cold, lambda total: total.count,
    )  # fmt: skip
    yield _counter(
        "faas_billed_ms", "Billed milliseconds.", ("function", "trigger"), totals, lambda total: total.billed_ms
    )
    yield _counter(
        "faas_cost", "Cost, in the currency.", ("function", "trigger"), totals, lambda total: total.cost_pico, _PICO
    )


def _counter(
    name: str,
    text: str,
    labels: tuple[str, ...],
    totals: Iterable[ledger.Total],
    amount: Callable[[ledger.Total], int],
    divisor: int = 1,
) -> core.Metric:
    """Totals added up by some of their labels, in whole numbers; divided only when they are shown."""
    sums: Counter[tuple[str, ...]] = Counter()
    for total in totals:
        sums[tuple(getattr(total, label) for label in labels)] += amount(total)
    family = core.CounterMetricFamily(
        name, text, labels=["kind" if label == "cold_start" else label for label in labels]
    )
    for values, added in sorted(sums.items()):
        family.add_metric(values, added / divisor)
    return family


def _distributions(found: Sequence[histograms.Histogram]) -> Iterator[core.Metric]:
    for figure, (name, text) in _FIGURES.items():
        family = core.HistogramMetricFamily(name, text, labels=["function"])
        for histogram in found:
            if histogram.figure == figure:
                buckets = [(_le(bound_us), count) for bound_us, count in histogram.buckets]
                family.add_metric([histogram.function], buckets, histogram.sum_us / _US_PER_S)
        yield family


def _le(bound_us: int) -> str:
    return "+Inf" if bound_us == histograms.NO_BOUND_US else repr(bound_us / _US_PER_S)


def _queues(found: Mapping[str, census.Places]) -> Iterator[core.Metric]:
    for place, text in _PLACES.items():
        family = core.GaugeMetricFamily(f"faas_{place}", text, labels=["function"])
        sums: Counter[str] = Counter()
        for ref, places in found.items():
            sums[_name(ref)] += getattr(places.counts, place)
        for name, count in sorted(sums.items()):
            family.add_metric([name], count)
        yield family
    yield _oldest(found)
    yield _drift(found)


def _oldest(found: Mapping[str, census.Places]) -> core.Metric:
    family = core.GaugeMetricFamily(
        "faas_oldest_waiting_seconds", "Age of the oldest invocation that waits; 0 when none does.", labels=["function"]
    )
    ages_ms: dict[str, int] = {}
    for ref, places in found.items():
        ages_ms[_name(ref)] = max(ages_ms.get(_name(ref), 0), places.oldest_waiting_ms)
    for name, age_ms in sorted(ages_ms.items()):
        family.add_metric([name], age_ms / 1000)
    return family


def _drift(found: Mapping[str, census.Places]) -> core.Metric:
    """By revision, so that what is missing of one cannot hide what is twice in another."""
    family = core.GaugeMetricFamily(
        "faas_conservation_drift",
        "Invocations in no place (or, below 0, in two); always 0.",
        labels=["function", "revision"],
    )
    for ref, places in sorted(found.items()):
        name, _, number = ref.rpartition("@")
        family.add_metric([name, number], places.counts.drift)
    return family


def _destinations(outboxes: Mapping[outbox.Outbox, int], undelivered: Mapping[str, int]) -> Iterator[core.Metric]:
    waiting = core.GaugeMetricFamily(
        "faas_destinations_waiting", "Records that wait for their destination.", labels=["function", "way"]
    )
    sums: Counter[tuple[str, str]] = Counter()
    for box, count in outboxes.items():
        sums["" if box.is_of_messages else _name(box.ref), box.way] += count
    for labels, count in sorted(sums.items()):
        waiting.add_metric(labels, count)
    yield waiting
    family = core.GaugeMetricFamily(
        "faas_undelivered", "Records that could not be delivered, until they are sent again or dropped.",
        labels=["function"],
    )  # fmt: skip
    for name, count in sorted(undelivered.items()):
        family.add_metric([name], count)
    yield family


def _nodes(found: Mapping[str, catalog.NodeState]) -> Iterator[core.Metric]:
    states: Counter[str] = Counter()
    for node in found.values():
        states.update(node.sandboxes)
    family = core.GaugeMetricFamily("faas_sandboxes", "Sandboxes of all nodes, by state.", labels=["state"])
    for name, count in sorted(states.items()):
        family.add_metric([name], count)
    yield family
    yield core.GaugeMetricFamily("faas_nodes", "Nodes whose lease holds.", value=len(found))
    journals = sum(node.journal_bytes for node in found.values())
    yield core.GaugeMetricFamily(
        "faas_journal_bytes", "Bytes of all journals that Redis has not got yet.", value=journals
    )


def _kept(found: Mapping[str, kept.Kept]) -> Iterator[core.Metric]:
    count = core.GaugeMetricFamily("faas_kept", "How many there are, by kind.", labels=["kind"])
    size = core.GaugeMetricFamily("faas_kept_bytes", "Bytes of these, without indexes.", labels=["kind"])
    freed = core.CounterMetricFamily("faas_freed", "How many were removed, as their time had come.", labels=["kind"])
    freed_size = core.CounterMetricFamily("faas_freed_bytes", "Bytes of these, without indexes.", labels=["kind"])
    for kind, each in sorted(found.items()):
        count.add_metric([kind], each.count)
        size.add_metric([kind], each.bytes)
        freed.add_metric([kind], each.freed)
        freed_size.add_metric([kind], each.freed_bytes)
    yield from (count, size, freed, freed_size)


def _unfit(found: Mapping[str, unfit.Told]) -> core.Metric:
    family = core.GaugeMetricFamily(
        "faas_unfit_objects", "What lies in a bucket that a trigger watches and cannot become an event.",
        labels=["bucket"],
    )  # fmt: skip
    for bucket, told in sorted(found.items()):
        family.add_metric([bucket], told.count)
    return family


def _skipped(found: Mapping[str, int]) -> core.Metric:
    family = core.CounterMetricFamily(
        "faas_timers_skipped", "Due times of timers that were skipped, since the last run had not ended.",
        labels=["function"],
    )  # fmt: skip
    for function, count in sorted(found.items()):
        family.add_metric([function], count)
    return family


def _alarms(found: Mapping[str, int]) -> core.Metric:
    family = core.GaugeMetricFamily("faas_alarms", "Alarms, by state.", labels=["state"])
    for name, count in sorted(found.items()):
        family.add_metric([name], count)
    return family


def _name(ref: str) -> str:
    return ref.rpartition("@")[0]
