"""Every check that needs only Redis, the database and a disk. `faas.cli.machine` adds those of one machine."""

from __future__ import annotations

from faas.health import disk, facts, ledger, nodes, queues, server

_ALWAYS = (facts.Check("redis", server.gather),)
_THEN = (
    facts.Check("disk", disk.gather),
    facts.Check("conservation", queues.conservation),
    facts.Check("nodes", nodes.gather),
)

CHECKS = facts.Checks(
    quick=(*_ALWAYS, facts.Check("bounds", queues.bounds), *_THEN, facts.Check("ledger", ledger.readable)),
    thorough=(*_ALWAYS, facts.Check("bounds", queues.bounds_counted), *_THEN, facts.Check("ledger", ledger.whole)),
)
