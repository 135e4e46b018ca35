"""/metrics: the ledger's totals and the queue's counts in the Prometheus format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import prometheus_client
from prometheus_client import core, registry

from faas.core import model
from faas.store import ledger

_LABELS = ("function", "trigger", "status", "cold_start")
_PLACES = ("waiting", "running", "retrying")


class Collector(registry.Collector):
    """One scrape's families, from one snapshot."""

    def __init__(self, totals: Sequence[ledger.Total], counts: Mapping[str, model.Counts]) -> None:
        self._totals = totals
        self._counts = counts

    def collect(self) -> Iterable[core.Metric]:
        """Every family; durations are in seconds, cost in units of the currency."""
        yield self._counter("faas_attempts", "Attempts recorded.", "count", 1)
        yield self._counter("faas_billed_ms", "Billed milliseconds.", "billed_ms", 1)
        yield self._counter("faas_cost", "Cost, in the currency.", "cost_pico", 10**12)
        yield self._counter("faas_duration_seconds", "Time in handlers.", "duration_us", 10**6)
        yield self._counter("faas_queue_seconds", "Time waiting.", "queue_ms", 1000)
        yield self._counter("faas_init_seconds", "Time starting cold.", "init_ms", 1000)
        yield from self._gauges()

    def _counter(self, name: str, text: str, field: str, divisor: int) -> core.Metric:
        family = core.CounterMetricFamily(name, text, labels=_LABELS)
        for total in self._totals:
            family.add_metric([getattr(total, label) for label in _LABELS], getattr(total, field) / divisor)
        return family

    def _gauges(self) -> Iterator[core.Metric]:
        for place in _PLACES:
            family = core.GaugeMetricFamily(f"faas_{place}", f"Invocations {place}.", labels=["revision"])
            for ref, counts in self._counts.items():
                family.add_metric([ref], getattr(counts, place))
            yield family
        drift = core.GaugeMetricFamily(
            "faas_conservation_drift", "Invocations in no place or two.", labels=["revision"]
        )
        for ref, counts in self._counts.items():
            drift.add_metric([ref], counts.drift)
        yield drift


def render(totals: Sequence[ledger.Total], counts: Mapping[str, model.Counts]) -> bytes:
    """The body of /metrics."""
    collecting = prometheus_client.CollectorRegistry(auto_describe=False)
    collecting.register(Collector(totals, counts))
    return prometheus_client.generate_latest(collecting)
