"""The processes of a platform, each a command of its own: `faas up` runs them all, other machines run some of them.

Each is a thin composition: settings, a stop event that SIGTERM and SIGINT set, and what its room's ``run`` needs.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import click
import msgspec

from faas.cli import log_format, options, platform_dir
from faas.core import errors
from faas.core import settings as settings_module

Ready = Callable[[dict[str, Any]], None]
Run = Callable[[settings_module.Settings, asyncio.Event, Ready], Awaitable[None]]

_ready_option = click.option("--ready-fd", type=int, hidden=True, help="Where to write one line of JSON once serving.")


@click.command()
@_ready_option
def node_command(ready_fd: int | None) -> None:
    """Run one node: a gateway and a runner on one event loop."""
    from faas.cli import node

    serve(node.run, ready_fd)


@click.command()
@_ready_option
def scheduler_command(ready_fd: int | None) -> None:
    """Run one scheduler: timers and uploads become invocations, what is due again and records for destinations go on,
    and alarms are looked at.

    Several may run at once.
    """
    serve(_schedule, ready_fd)


@click.command()
@_ready_option
def recorder_command(ready_fd: int | None) -> None:
    """Run one recorder: records move from Redis to the ledger, and what is past its time is removed.

    Several may run at once; one of them removes.
    """
    serve(_record, ready_fd)


@click.command()
@_ready_option
def api_command(ready_fd: int | None) -> None:
    """Run one control API."""
    serve(_answer, ready_fd)


@click.command()
@_ready_option
def builder_command(ready_fd: int | None) -> None:
    """Run one builder: an RQ worker that turns source into artifacts."""
    platform_dir.keep_to_owner()
    settings = connected(options.settings())
    # Before what imports RQ, which reads its prefix once.
    settings_module.place_rq(settings.redis)
    from faas import builds
    from faas.cli import languages
    from faas.valkey import fitness
    from runners.engines import building

    log_format.start(settings.platform_logs)
    fitness.require(settings.redis, settings.queues, settings.results)
    _teller(ready_fd)({"pid": os.getpid()})
    known = languages.known(settings.sandboxes.base_image)
    builds.worker_main(
        settings.data,
        settings.redis,
        settings.building,
        settings.destinations,
        known,
        building.BuildPlace(settings.data.root, settings.building, settings.sandboxes.engine, next(iter(known)).image),
    )


def serve(run: Run, ready_fd: int | None) -> None:
    """Run one process on uvloop until it is told to stop."""
    import uvloop

    from faas.valkey import fitness

    platform_dir.keep_to_owner()
    settings = connected(options.settings())
    settings_module.place_rq(settings.redis)
    log_format.start(settings.platform_logs)
    fitness.require(settings.redis, settings.queues, settings.results)
    # Checked before the loop starts: a server that does not fit ends the process with a reason, not a task of it.
    uvloop.run(_until_stopped(run, settings, _teller(ready_fd)))


def connected(settings: settings_module.Settings) -> settings_module.Settings:
    """The settings with a Redis URL: their own, or that of the platform that runs on their data directory.

    Raises `errors.Unavailable` when there is neither.
    """
    if settings.redis.redis_url:
        return settings
    facts = platform_dir.published(settings.data.root) if platform_dir.running(settings.data.root) else None
    if not facts or not facts.get("redis_url"):
        raise errors.Unavailable(
            f"no Redis to work with: no platform runs on {settings.data.root}",
            hint="set FAAS_REDIS_URL, or start the platform with `faas up`",
        )
    return settings_module.changed(settings, redis_url=str(facts["redis_url"]))


async def _until_stopped(run: Run, settings: settings_module.Settings, ready: Ready) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await run(settings, stop, ready)


async def _answer(settings: settings_module.Settings, stop: asyncio.Event, ready: Ready) -> None:
    from faas import builds
    from faas.api import server
    from faas.cli import languages, machine
    from faas.health import checks

    builder = builds.Builds(
        settings.data, settings.redis, settings.building, languages.known(settings.sandboxes.base_image)
    )
    await server.run(
        settings, stop, ready, builder, checks.CHECKS.beside(machine.BESIDE), lambda: machine.uses(settings.data)
    )


async def _schedule(settings: settings_module.Settings, stop: asyncio.Event, ready: Ready) -> None:
    from faas import alerts, delivery
    from faas.cli import machine
    from faas.cluster import demand
    from faas.health import checks, looks
    from faas.queue import invocations
    from faas.store import database, functions, undelivered
    from triggers import delayed, timer, upload

    queue = await invocations.Queue.of(settings.redis, settings.queues, settings.results)
    asks = await demand.Demand.open(settings.redis.redis_url, settings.redis.redis_prefix)
    platform = looks.Looks(settings, checks.CHECKS.beside(machine.BESIDE))
    try:
        engine = await asyncio.to_thread(database.open_database, settings.data)
        store, given_up = functions.Functions(engine), undelivered.UndeliveredRecords(engine)
        ready({"pid": os.getpid()})
        async with asyncio.TaskGroup() as running:
            running.create_task(timer.run(settings.sandboxes, queue, store, stop, warm=asks.warm), name="timers")
            running.create_task(delayed.run(queue, stop), name="delayed")
            running.create_task(upload.run(settings.sandboxes, settings.data, queue, store, stop), name="uploads")
            running.create_task(delivery.run(settings, queue, store, given_up, stop), name="destinations")
            watch = alerts.run(settings.data, settings.alarms, queue, engine, platform, stop)
            running.create_task(watch, name="alarms")
    finally:
        await platform.close()
        queue.close()
        await asks.close()


async def _record(settings: settings_module.Settings, stop: asyncio.Event, ready: Ready) -> None:
    from faas import recorder
    from faas.cluster import catalog
    from faas.core.money import budgets
    from faas.core.processes import garbage
    from faas.recorder import indexing, otlp, rolling_up
    from faas.retention import job

    spending = recorder.Spending(settings.data, budgets.of_all(settings.budgets))
    versions = await catalog.Catalog.open(settings.redis.redis_url, settings.redis.redis_prefix)
    beside = [otlp.OtlpSink(settings.telemetry)] if settings.telemetry.otlp_endpoint else []
    garbage.keep_what_is_there()
    ready({"pid": os.getpid()})
    try:
        async with asyncio.TaskGroup() as running:
            recording = recorder.run(
                settings.data, settings.redis, settings.queues, stop, beside, on_committed=spending.committed
            )
            running.create_task(recording, name="recorder")
            running.create_task(recorder.watch(spending, versions.announce, stop), name="budgets")
            running.create_task(job.run(settings, stop), name="retention")
            running.create_task(rolling_up.run(settings.data, stop), name="roll-ups")
            running.create_task(indexing.run(settings.data, stop), name="log index")
    finally:
        await versions.close()


def _teller(descriptor: int | None) -> Ready:
    """Writes its facts to the ready pipe, once."""
    left = [descriptor] if descriptor is not None else []

    def tell(facts: dict[str, Any]) -> None:
        if left:
            written = left.pop()
            with contextlib.suppress(BrokenPipeError):  # whoever started us has gone; PDEATHSIG is on its way
                os.write(written, msgspec.json.encode(facts) + b"\n")
            os.close(written)

    return tell
