"""What is kept, for how long and how much room it takes; and setting for how long."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
from aiohttp import web

from faas import artifacts
from faas.api import answers, schemas, state
from faas.core import clock, errors, keeping
from faas.core.values import json_words, unreadable
from faas.queue import kept_results
from faas.store import kept, kept_shares

_RULED = {
    kept.LOGS: keeping.KeepKind.LOGS,
    kept.RECORDS: keeping.KeepKind.RECORDS,
    kept.DEAD_LETTERS: keeping.KeepKind.DEAD_LETTERS,
    kept.UNDELIVERED: keeping.KeepKind.DEAD_LETTERS,
    kept.REVISIONS: keeping.KeepKind.REVISIONS,
}
_HAS_BYTES = frozenset((kept.LOGS, kept.RECORDS, kept.ARTIFACTS))


class KeptQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One function, or ``limit`` of all after the first ``offset``, what keeps most bytes first."""

    function: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 20
    offset: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0


async def list_kept(request: web.Request) -> web.Response:
    """Every kind, and the functions that fit."""
    asked = answers.query(request, KeptQuery)
    results: kept_results.KeptResults | None
    try:
        results = await request.app[state.CALLS].kept_results()
    except errors.Unavailable:  # what is in SQL is shown all the same
        results = None
    return answers.json(await asyncio.to_thread(_report, request.app, asked, results))


async def set_rule(request: web.Request) -> web.Response:
    """Set one, or forget it."""
    kind = _kind(request.match_info["kind"])
    asked = _change(await request.read())
    function = keeping.ALL if asked.function is None else asked.function
    return answers.json(await asyncio.to_thread(_set, request.app, kind, function, asked))


def _kind(text: str) -> keeping.KeepKind:
    try:
        return keeping.KeepKind(text)
    except ValueError:
        raise errors.NotFound(f"nothing of the kind {text[:80]!r} is kept", hint=", ".join(keeping.KeepKind)) from None


def _change(raw: bytes) -> schemas.kept.KeepChange:
    try:
        return msgspec.json.decode(raw, type=schemas.kept.KeepChange)
    except unreadable.ERRORS as error:
        raise errors.BadRequest(f"the body: {json_words.why(error)}", hint="see /api/v1/openapi.json") from error


def _set(
    app: web.Application, kind: keeping.KeepKind, function: str, asked: schemas.kept.KeepChange
) -> schemas.kept.KeepTerm:
    rules = app[state.KEEP_RULES]
    # An empty name is that of all, which nobody may mean by it.
    is_no_name = asked.function is not None and function == keeping.ALL
    if asked.keep_ms is not None:
        keeping.checked(kind, function, asked.keep_ms)
    # What was set for a function that has gone since can be forgotten.
    is_forgotten = asked.keep_ms is None and not is_no_name and rules.unset(kind, function)
    if asked.function is not None and not is_forgotten:
        _require(app, asked.function)
    if asked.keep_ms is not None:
        rules.set(keeping.KeepRule(kind, function, asked.keep_ms, clock.now_ms()))
    return _term(_terms(app).of_function(kind, function))


def _require(app: web.Application, function: str) -> None:
    """Raise `errors.NotFound` for a name that is no function."""
    if app[state.FUNCTIONS].current(function) is None:
        raise errors.NotFound(f"no function {function[:80]!r}", hint="`faas ls` lists them", function=function)


def _terms(app: web.Application) -> keeping.Terms:
    return keeping.Terms(app[state.RETENTION], app[state.KEEP_RULES].all())


def _term(term: keeping.Term) -> schemas.kept.KeepTerm:
    return schemas.kept.KeepTerm(keep_ms=term.keep_ms, origin=term.origin)


def _report(
    app: web.Application, asked: KeptQuery, results: kept_results.KeptResults | None
) -> schemas.kept.KeptReport:
    engine, terms = app[state.ENGINE], _terms(app)
    store = artifacts.Artifacts(app[state.DATA].root)
    total, shares = kept_shares.read(engine, store.size, asked.function, asked.limit, asked.offset)
    if asked.function is not None and not shares:
        _require(app, asked.function)
    found = kept.read(engine)
    return schemas.kept.KeptReport(
        kinds={**_in_sql(found, terms), **_figures(terms), **_in_redis(app, results)},
        functions=tuple(_share(each, terms) for each in shares),
        total=total,
        database_bytes=found.database_bytes,
        database_free_bytes=found.database_free_bytes,
        looked_at_ms=found.looked_at_ms or None,
    )


def _in_sql(found: kept.Keeping, terms: keeping.Terms) -> dict[str, schemas.kept.KeptKind]:
    made = {}
    for name, each in found.kinds.items():
        kind = _RULED.get(name)
        made[name] = schemas.kept.KeptKind(
            count=each.count,
            bytes=each.bytes if name in _HAS_BYTES else None,
            freed=each.freed,
            freed_bytes=each.freed_bytes,
            keep=None if kind is None else _term(terms.of_all(kind)),
            setting=None if kind is None else keeping.setting(kind),
        )
    return made


def _figures(terms: keeping.Terms) -> dict[str, schemas.kept.KeptKind]:
    """Figures over time. To count those of all functions would take as long as there are many, so nobody does."""
    return {
        kind.value: schemas.kept.KeptKind(
            count=None, bytes=None, keep=_term(terms.of_all(kind)), setting=keeping.setting(kind)
        )
        for kind in (keeping.KeepKind.MINUTES, keeping.KeepKind.HOURS)
    }


def _in_redis(app: web.Application, found: kept_results.KeptResults | None) -> dict[str, schemas.kept.KeptKind]:
    times = app[state.RESULTS]
    return {
        "results": _of_settings(
            None if found is None else found.results,
            None if found is None else found.results_bytes,
            times.keep_results_ms,
            "keep_results_ms",
        ),
        "answers": _of_settings(
            None if found is None else found.answers,
            None if found is None else found.answers_bytes,
            times.keep_answers_ms,
            "keep_answers_ms",
        ),
    }


def _of_settings(count: int | None, size: int | None, keep_ms: int, setting: str) -> schemas.kept.KeptKind:
    term = schemas.kept.KeepTerm(keep_ms=keep_ms, origin="settings")
    return schemas.kept.KeptKind(count=count, bytes=size, keep=term, setting=setting)


def _share(share: kept_shares.FunctionShare, terms: keeping.Terms) -> schemas.kept.KeptOfFunction:
    return schemas.kept.KeptOfFunction(
        name=share.name,
        bytes=share.bytes,
        kinds={kind: schemas.kept.KeptAmount(count=each.count, bytes=each.bytes) for kind, each in share.kinds.items()},
        keep={
            kind.value: _term(term)
            for kind, term in keeping.named(terms, share.name)
            if kind not in keeping.OF_ALL_ONLY
        },
        figures=share.figures,
    )
