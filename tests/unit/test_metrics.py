"""What Prometheus reads from /metrics."""

from __future__ import annotations

from prometheus_client import parser

from faas.api import metrics
from faas.core import model
from faas.store import ledger


def test_prometheus_reads_totals_and_drift() -> None:
    total = ledger.Total(
        function="hello",
        trigger="http",
        status="ok",
        cold_start="none",
        count=2,
        billed_ms=16,
        cost_pico=10**12,
        duration_us=500_000,
        queue_ms=4,
        init_ms=0,
    )
    text = metrics.render([total], {"hello@1": model.Counts(accepted=3, waiting=1, done=1)}).decode()
    samples = {s.name: s.value for family in parser.text_string_to_metric_families(text) for s in family.samples}
    assert samples["faas_attempts_total"] == 2
    assert samples["faas_cost_total"] == 1
    assert samples["faas_duration_seconds_total"] == 0.5
    assert samples["faas_waiting"] == 1
    assert samples["faas_conservation_drift"] == 1
