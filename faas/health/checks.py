"""Every check that needs only Redis, the database and a disk. `faas.cli.machine` adds those of one machine."""

from __future__ import annotations

from faas.health import disk, facts, ledger, nodes, queues, server, spending, unfit

_ALWAYS = (facts.Check("redis", lambda of: server.gather(of.redis, of.queues, of.results)),)
_THEN = (
    facts.Check("disk", lambda of: disk.gather(of.data)),
    facts.Check("conservation", lambda of: queues.conservation(of.redis)),
    facts.Check("nodes", lambda of: nodes.gather(of.redis, of.data)),
    facts.Check("objects", lambda of: unfit.gather(of.data, of.redis)),
    facts.Check("budgets", lambda of: spending.gather(of.data)),
)

CHECKS = facts.Checks(
    quick=(
        *_ALWAYS,
        facts.Check("bounds", lambda of: queues.bounds(of.redis, of.queues)),
        *_THEN,
        facts.Check("ledger", lambda of: ledger.readable(of.data)),
    ),
    thorough=(
        *_ALWAYS,
        facts.Check("bounds", lambda of: queues.bounds_counted(of.redis, of.queues)),
        *_THEN,
        facts.Check("ledger", lambda of: ledger.whole(of.data)),
    ),
)
