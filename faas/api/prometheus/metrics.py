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

from faas.api.prometheus import metrics_budgets, metrics_platform
from faas.cluster import catalog
from faas.core import model
from faas.queue import census, outbox, unfit
from faas.store import counters, histograms, kept, ledger

_US_PER_S = 1_000_000
_MS_PER_S = 1_000
_PICO = 10**12
_FIGURES = {
    "duration": ("faas_duration_seconds", "Time in handlers, of attempts that ran."),
    "queue": ("faas_queue_seconds", "Time from acceptance to a slot."),
    "init": ("faas_init_seconds", "Time to a sandbox with user code loaded, of attempts that started cold."),
}
_NUMBERS = {
    histograms.RETRIED: ("faas_retries", "Attempts that another one followed."),
    histograms.DEAD: ("faas_dead_letters", "Async invocations that failed for good."),
}
_PLACES = {
    "waiting": "Invocations that wait in a queue.",
    "running": "Invocations that a node has claimed.",
    "retrying": "Invocations that are due again later.",
}


def _itself(name: str) -> str:
    return name


class Scrape(msgspec.Struct, frozen=True, kw_only=True):
    """What one scrape saw."""

    counted: counters.Counted = counters.Counted()
    places: Mapping[str, census.Places] = {}
    nodes: Mapping[str, catalog.NodeState] = {}
    outboxes: Mapping[outbox.Outbox, int] = {}
    undelivered: Mapping[str, int] = {}
    kept: Mapping[str, kept.Kept] = {}
    unfit: Mapping[str, unfit.Told] = {}
    skipped: Mapping[str, int] = {}
    alarms: Mapping[str, int] = {}
    budgets: metrics_budgets.Gauged = metrics_budgets.Gauged()
    platform: metrics_platform.Platform = metrics_platform.Platform()
    name_of: Callable[[str], str] = _itself
    """The name under which a function's figures stand."""


def render(seen: Scrape) -> bytes:
    """The body of /metrics."""
    # One for this scrape: the registry of the library adds figures of this process, which differ by who is asked.
    collecting = prometheus_client.CollectorRegistry(auto_describe=False)
    collecting.register(_Collector(seen))
    return prometheus_client.generate_latest(collecting)


class _Collector(registry.Collector):
    """Hands the families of one scrape to prometheus-client."""

    def __init__(self, seen: Scrape) -> None:
        self._seen = seen

    def collect(self) -> Iterable[core.Metric]:
        seen = self._seen
        yield from _counters(seen.counted.totals)
        yield from _distributions(seen.counted.histograms)
        yield from _queues(seen.places, seen.name_of)
        yield from _destinations(seen.outboxes, seen.undelivered, seen.name_of)
        yield from _nodes(seen.nodes)
        yield from metrics_platform.memory(seen.nodes)
        yield from metrics_platform.families(seen.platform)
        yield from _kept(seen.kept)
        yield _unfit(seen.unfit)
        yield _skipped(seen.skipped, seen.name_of)
        yield _alarms(seen.alarms)
        yield from metrics_budgets.families(seen.budgets)


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
        "faas_billed_seconds", "Billed time.", ("function", "trigger"), totals, lambda total: total.billed_ms, _MS_PER_S
    )  # fmt: skip
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
        # The metric's name says already that it counts cold starts; the label says of which kind.
        name,
        text,
        labels=["kind" if label == "cold_start" else label for label in labels],
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
    yield _steps(found)
    for figure, (name, text) in _NUMBERS.items():
        count = core.CounterMetricFamily(name, text, labels=["function"])
        for histogram in found:
            if histogram.figure == figure:
                count.add_metric([histogram.function], histogram.buckets[-1][1])
        yield count


def _steps(found: Sequence[histograms.Histogram]) -> core.Metric:
    """The parts of cold starts, of all functions together: by function there would be a hundred lines for each."""
    family = core.HistogramMetricFamily(
        "faas_cold_start_step_seconds", "Parts of cold starts that took a millisecond or more.", labels=["step"]
    )
    for histogram in found:
        if histogram.figure.startswith(histograms.STEP):
            buckets = [(_le(bound_us), count) for bound_us, count in histogram.buckets]
            family.add_metric([histogram.figure.removeprefix(histograms.STEP)], buckets, histogram.sum_us / _US_PER_S)
    return family


def _le(bound_us: int) -> str:
    # A bound is a label, so it must be the same text in every scrape: `repr` gives the shortest that is the same
    # float.
    return "+Inf" if bound_us == histograms.NO_BOUND_US else repr(bound_us / _US_PER_S)


def _queues(found: Mapping[str, census.Places], name_of: Callable[[str], str]) -> Iterator[core.Metric]:
    named = [(name_of(_name(ref)), places) for ref, places in found.items()]
    for place, text in _PLACES.items():
        family = core.GaugeMetricFamily(f"faas_{place}", text, labels=["function"])
        sums: Counter[str] = Counter()
        for name, places in named:
            sums[name] += getattr(places.counts, place)
        for name, count in sorted(sums.items()):
            family.add_metric([name], count)
        yield family
    yield _oldest(named)
    yield _drift(found, name_of)


def _oldest(named: Iterable[tuple[str, census.Places]]) -> core.Metric:
    family = core.GaugeMetricFamily(
        "faas_oldest_waiting_seconds", "Age of the oldest invocation that waits; 0 when none does.", labels=["function"]
    )
    ages_ms: dict[str, int] = {}
    for name, places in named:
        ages_ms[name] = max(ages_ms.get(name, 0), places.oldest_waiting_ms)
    for name, age_ms in sorted(ages_ms.items()):
        family.add_metric([name], age_ms / 1000)
    return family


def _drift(found: Mapping[str, census.Places], name_of: Callable[[str], str]) -> core.Metric:
    """By revision, so that what is missing of one cannot hide what is twice in another.

    A revision that has drifted is named, whoever its function is; of functions without a name no other is.
    """
    family = core.GaugeMetricFamily(
        "faas_conservation_drift",
        "Invocations in no place (or, below 0, in two); always 0.",
        labels=["function", "revision"],
    )
    for ref, places in sorted(found.items()):
        name, _, number = ref.rpartition("@")
        if name_of(name) or places.counts.drift:
            family.add_metric([name, number], places.counts.drift)
    return family


def _destinations(
    outboxes: Mapping[outbox.Outbox, int], undelivered: Mapping[str, int], name_of: Callable[[str], str]
) -> Iterator[core.Metric]:
    waiting = core.GaugeMetricFamily(
        "faas_destinations_waiting", "Records that wait for their destination.", labels=["function", "way"]
    )
    sums: Counter[tuple[str, str]] = Counter()
    for box, count in outboxes.items():
        sums["" if box.is_of_messages else name_of(_name(box.ref)), box.way] += count
    for labels, count in sorted(sums.items()):
        waiting.add_metric(labels, count)
    yield waiting
    family = core.GaugeMetricFamily(
        "faas_undelivered", "Records that could not be delivered, until they are sent again or dropped.",
        labels=["function"],
    )  # fmt: skip
    given_up: Counter[str] = Counter()
    for name, count in undelivered.items():
        given_up[name_of(name)] += count
    for name, count in sorted(given_up.items()):
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
    slots = core.GaugeMetricFamily("faas_slots", "Slots of all nodes, by whether an attempt runs.", labels=["state"])
    # A node says "idle" of a sandbox; of a slot people ask whether it is free.
    for name, state in (("busy", "busy"), ("free", "idle")):
        slots.add_metric([name], states[state])
    yield slots
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


def _skipped(found: Mapping[str, int], name_of: Callable[[str], str]) -> core.Metric:
    family = core.CounterMetricFamily(
        "faas_timers_skipped", "Due times of timers that were skipped, since the last run had not ended.",
        labels=["function"],
    )  # fmt: skip
    sums: Counter[str] = Counter()
    for function, count in found.items():
        sums[name_of(function)] += count
    for function, count in sorted(sums.items()):
        family.add_metric([function], count)
    return family


def _alarms(found: Mapping[str, int]) -> core.Metric:
    family = core.GaugeMetricFamily("faas_alarms", "Alarms, by state.", labels=["state"])
    for name, count in sorted(found.items()):
        family.add_metric([name], count)
    return family


def _name(ref: str) -> str:
    return ref.rpartition("@")[0]
