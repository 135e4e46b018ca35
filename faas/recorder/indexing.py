"""Indexes log lines some time after they were recorded, in small steps, with longer pauses between.

It writes to files of its own, so whoever records never waits for it but for the processor. It may be killed at any
moment: what is indexed is known by the files alone. Where the store is PostgreSQL there is nothing to do.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from pathlib import Path

import sqlalchemy as sa

from faas.core import clock, errors, groups
from faas.recorder import following
from faas.store import database, log_index, turns

_LOOK_EVERY_S = 2.0
_FIRST_STEP = 500
_MOST_STEP = 20_000
_STEP_S = 0.05
"""How long a step is to take, about."""

_PAUSES = 3
"""A pause is so many times as long as the step before it: a quarter of one processor is taken, at most."""

_log = logging.getLogger("faas.recorder")


async def run(data: groups.Data, stop: asyncio.Event) -> None:
    """Index until ``stop`` is set. What fails is logged once, and tried again."""
    engine: sa.Engine | None = None
    is_told = False
    try:
        while not stop.is_set():
            try:
                if engine is None:
                    engine = await asyncio.to_thread(database.open_database, data)
                if log_index.of(engine) is None:
                    return
                await _catch_up(engine, data.root, stop)
                is_told = False
            except (errors.FaasError, sqlite3.Error, OSError) as error:
                if not is_told:
                    _log.warning("log_index_waits", extra={"reason": str(error).partition("\n")[0]})
                is_told = True
            await following.pause(stop, _LOOK_EVERY_S)
    finally:
        if engine is not None:
            await asyncio.to_thread(engine.dispose)


async def _catch_up(engine: sa.Engine, root: Path, stop: asyncio.Event) -> None:
    indexer = log_index.Indexer(Path(engine.url.database or ""))
    with turns.indexing(root) as is_ours:
        if not is_ours:
            return
        await asyncio.to_thread(indexer.tidy, engine)
        lines = _FIRST_STEP
        while not stop.is_set():
            began_s = clock.steady_s()
            done = await asyncio.to_thread(indexer.step, lines)
            took_s = clock.steady_s() - began_s
            if done < lines:
                return
            lines = next_lines(lines, took_s)
            await following.pause(stop, took_s * _PAUSES)


def next_lines(lines: int, took_s: float) -> int:
    """How many lines the next step has, after one of so many that took so long."""
    if took_s > 2 * _STEP_S:
        return max(lines // 2, 1)
    return min(lines * 2, _MOST_STEP) if took_s < _STEP_S else lines
