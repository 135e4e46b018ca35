"""The part of /metrics that is about the platform itself: memory, lags, the servers behind it, and its processes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
from prometheus_client import core

from faas.cluster import catalog
from faas.core.processes import living

_MIB = 1024 * 1024


class Process(msgspec.Struct, frozen=True):
    """One process of the tree that `faas up` keeps on this machine; ``use`` is None when it does not run now."""

    name: str
    restarts: int
    use: living.ProcessUse | None


class Platform(msgspec.Struct, frozen=True, kw_only=True):
    """What one scrape saw of it. Latencies are what this process waited for one small answer."""

    unrecorded_bytes: int = 0
    sink_lags_ms: Mapping[str, int] = {}
    redis_latency_s: float = 0.0
    sql_latency_s: float = 0.0
    processes: Sequence[Process] = ()


def memory(nodes: Mapping[str, catalog.NodeState]) -> Iterator[core.Metric]:
    """What the nodes have for sandboxes, have promised to them, and their functions have needed."""
    for name, text, sizes_mb in (
        ("limit", "Memory that all nodes share out among sandboxes.", [node.memory_mb for node in nodes.values()]),
        ("reserved", "Memory that is promised to sandboxes.", [node.memory_used_mb for node in nodes.values()]),
        ("used", "Memory that the last attempt in each slot had at most.", [n.memory_peak_mb for n in nodes.values()]),
    ):
        yield core.GaugeMetricFamily(f"faas_memory_{name}_bytes", text, value=sum(sizes_mb) * _MIB)


def families(seen: Platform) -> Iterator[core.Metric]:
    """Lags, latencies and processes."""
    yield core.GaugeMetricFamily(
        "faas_unrecorded_bytes", "Bytes of records that the ledger has yet to get.", value=seen.unrecorded_bytes
    )
    lag = core.GaugeMetricFamily(
        "faas_recorder_lag_seconds", "Age of the oldest record that a sink has yet to commit.", labels=["sink"]
    )
    for sink, lag_ms in sorted(seen.sink_lags_ms.items()):
        lag.add_metric([sink], lag_ms / 1000)
    yield lag
    yield core.GaugeMetricFamily(
        "faas_redis_latency_seconds", "How long Redis took over one small answer.", value=seen.redis_latency_s
    )
    yield core.GaugeMetricFamily(
        "faas_sql_latency_seconds", "How long the database took over one small answer.", value=seen.sql_latency_s
    )
    yield from _processes(seen.processes)


def _processes(found: Iterable[Process]) -> Iterator[core.Metric]:
    cpu = core.CounterMetricFamily(
        "faas_process_cpu_seconds", "Processor time of each process of `faas up`.", labels=["process"]
    )
    resident = core.GaugeMetricFamily(
        "faas_process_resident_memory_bytes", "Memory of each process of `faas up`.", labels=["process"]
    )
    restarts = core.CounterMetricFamily(
        "faas_process_restarts", "How often each process of `faas up` was started again.", labels=["process"]
    )
    for process in found:
        restarts.add_metric([process.name], process.restarts)
        if process.use is not None:
            cpu.add_metric([process.name], process.use.cpu_s)
            resident.add_metric([process.name], process.use.memory_bytes)
    yield from (cpu, resident, restarts)
