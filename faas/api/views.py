"""From the platform's structs to the bodies of the control API. Pure functions."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping

import msgspec

from faas.api import schemas
from faas.cluster import catalog
from faas.core import model
from faas.core.money import billing
from faas.core.values import json_text
from faas.queue import census
from faas.store import kept, rollups


def attempt(record: model.Record, currency: str) -> schemas.attempts.Attempt:
    """A record as the API shows it."""
    return msgspec.convert(_fields(record, currency), schemas.attempts.Attempt)


def report(outcome: model.Outcome, currency: str) -> schemas.invocations.Report:
    """The answer to a sync call: the record, what the handler returned, and what it printed."""
    record = outcome.record
    return msgspec.convert(
        {
            **_fields(record, currency),
            "result": _result(outcome),
            "result_is_base64": outcome.is_bytes,
            "logs": tuple(schemas.attempts.Line(line.at_ms, line.text) for line in model.each_line(record.logs)),
            "report": billing.report_line(record),
        },
        schemas.invocations.Report,
    )


def _fields(record: model.Record, currency: str) -> dict[str, object]:
    fields = {name: getattr(record, name) for name in _SAME}
    fields["error"] = failure(record)
    fields["cold_start"] = record.cold_start is not model.ColdStart.NONE
    fields["cold_start_kind"] = record.cold_start
    fields["duration_ms"] = record.duration_us / 1000
    fields["memory_mb"] = record.memory_peak_mb
    fields["cost_decimal"] = billing.decimal(record.cost_pico)
    fields["currency"] = currency
    fields["steps"] = steps(record.steps)
    return fields


def failure(record: model.Record) -> schemas.attempts.Failure | None:
    """Why an attempt failed; None when it did not."""
    error = record.error
    return schemas.attempts.Failure(error.type, error.message, error.stack) if error else None


def steps(found: Iterable[model.ColdStartStep]) -> tuple[schemas.attempts.ColdStartStep, ...]:
    """What a cold start was spent on."""
    return tuple(schemas.attempts.ColdStartStep(step.name, step.ms) for step in found)


_SAME = tuple(name for name in schemas.attempts.Attempt.__struct_fields__ if name in model.Record.__struct_fields__)


def _result(outcome: model.Outcome) -> object:
    if outcome.is_bytes:
        return base64.b64encode(outcome.body).decode()
    return msgspec.Raw(json_text.standard(outcome.body or b"null"))


def stats(found: rollups.Summary, by: str, function: str | None) -> schemas.stats.FunctionStats:
    """The statistics of one name."""
    figures = found.figures
    return schemas.stats.FunctionStats(
        function=found.name if by == "function" else function,
        name=found.name,
        **_counts(figures),
        duration_ms=schemas.stats.Percentiles(**{name: us / 1000 for name, us in _ranks(figures.duration_us).items()}),
        queue_ms=schemas.stats.Percentiles(**_ranks(figures.queue_ms)),
        init_ms=schemas.stats.Percentiles(**_ranks(figures.init_ms)),
    )


def series(found: rollups.Series) -> schemas.stats.Series:
    """The figures of one name over time."""
    return schemas.stats.Series(name=found.name, points=tuple(_point(point) for point in found.points))


def _point(point: rollups.Point) -> schemas.stats.Point:
    figures = point.figures
    return schemas.stats.Point(
        at_ms=point.at_ms,
        **_counts(figures),
        duration_us=schemas.stats.Ranks(**_ranks(figures.duration_us)),
        queue_ms=schemas.stats.Ranks(**_ranks(figures.queue_ms)),
        init_ms=schemas.stats.Ranks(**_ranks(figures.init_ms)),
    )


def _counts(figures: rollups.Figures) -> dict[str, int]:
    return msgspec.structs.asdict(rollups.ExactFigures.of(figures))


def _ranks(found: rollups.Quantiles) -> dict[str, int]:
    return msgspec.structs.asdict(found)


def keeping(found: kept.Keeping) -> schemas.status.Keeping:
    """What is kept, and what was removed."""
    return schemas.status.Keeping(
        kinds={kind: schemas.status.Kept(**msgspec.structs.asdict(each)) for kind, each in found.kinds.items()},
        database_bytes=found.database_bytes,
        database_free_bytes=found.database_free_bytes,
        looked_at_ms=found.looked_at_ms or None,
    )


def function(revision: model.Revision) -> schemas.functions.Function:
    """A function by its current revision."""
    return schemas.functions.Function(
        name=revision.function,
        revision=revision.number,
        artifact=revision.artifact,
        created_at_ms=revision.created_at_ms,
        config=revision.config,
    )


def description(
    current: model.Revision, revisions: Iterable[model.Revision], places: schemas.functions.Places
) -> schemas.functions.Description:
    """A function with its revisions, newest first, and the places of its invocations."""
    ordered = sorted(revisions, key=lambda revision: revision.number, reverse=True)
    return schemas.functions.Description(
        **msgspec.structs.asdict(function(current)),
        places=places,
        revisions=tuple(
            schemas.functions.RevisionSummary(
                each.number, each.artifact, each.created_at_ms, each.number == current.number
            )
            for each in ordered
        ),
    )


def places(found: Mapping[str, census.Places], names: Iterable[str]) -> dict[str, schemas.functions.Places]:
    """Counts per revision added up per function: the named ones, and any other that still has work or drift."""
    sums: dict[str, dict[str, int]] = {name: dict.fromkeys(_PLACES, 0) for name in sorted(names)}
    gone: dict[str, dict[str, int]] = {}
    for ref, revision in sorted(found.items()):
        name = ref.rpartition("@")[0]
        held = sums[name] if name in sums else gone.setdefault(name, dict.fromkeys(_PLACES, 0))
        for place in _PLACES:
            held[place] += getattr(revision.counts, place)
    # A function that was removed may still have work that waits, which somebody has to see.
    sums.update({name: held for name, held in gone.items() if any(held[place] for place in _UNSETTLED)})
    return {name: schemas.functions.Places(**held) for name, held in sums.items()}


_PLACES = schemas.functions.Places.__struct_fields__
_UNSETTLED = ("waiting", "running", "retrying", "drift")


def nodes(said: Mapping[str, catalog.NodeState]) -> tuple[schemas.status.Node, ...]:
    """The nodes by their names, each with its sandboxes by state."""
    return tuple(_node(name, each) for name, each in sorted(said.items()))


def _node(name: str, said: catalog.NodeState) -> schemas.status.Node:
    return schemas.status.Node(
        name=name,
        host=said.host,
        pid=said.pid,
        catalog=said.catalog,
        memory_mb=said.memory_mb,
        memory_used_mb=said.memory_used_mb,
        engine=said.engine,
        sandboxes=said.sandboxes,
    )
