"""`faas doctor`: establishes the facts about a platform, one line each. It changes nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

import click
import msgspec

from faas.cli import endpoint, options, output, platform_dir
from faas.core import clock, errors, living
from faas.core import settings as settings_module

if TYPE_CHECKING:
    import sqlalchemy

    from faas.queue import recount
    from runners.sandbox import abilities

_LOW_DISK_BYTES = 1024 * 1024 * 1024
_SKEW_MS = 1_000


class Fact(msgspec.Struct, frozen=True):
    """What was established of one thing: ``ok``, ``warning`` (it works, but) or ``failed``."""

    name: str
    state: str
    text: str
    hint: str = ""


Check = Callable[[settings_module.Settings], Iterator[Fact]]


@click.command()
@options.json_option
def doctor_command(*, as_json: bool) -> int:
    """Establish the facts: processes, Redis, Docker, base image, disk, clock, conservation, nodes, ledger.

    Exits 0 when nothing failed (a warning is no failure), 9 otherwise.

    \b
    faas doctor
    faas doctor --json | jq '.facts[] | select(.state != "ok")'
    """
    settings = options.settings()
    facts = [fact for check in _CHECKS for fact in _established(check, settings)]
    failed = any(fact.state == "failed" for fact in facts)
    if as_json:
        output.emit({"ok": not failed, "facts": [msgspec.structs.asdict(fact) for fact in facts]})
    else:
        width = max(len(fact.name) for fact in facts)
        for fact in facts:
            output.line(f"{fact.state:<8} {fact.name:<{width}} {fact.text}" + (f"  ({fact.hint})" if fact.hint else ""))
    return errors.Unavailable.exit_code if failed else 0


def _established(check: Check, settings: settings_module.Settings) -> Iterator[Fact]:
    """The facts of one check; what it cannot establish is a failed fact, and the other checks go on."""
    try:
        yield from check(settings)
    except errors.FaasError as error:
        yield Fact(check.__name__.strip("_").replace("_", " "), "failed", error.message, error.hint)


def _platform(settings: settings_module.Settings) -> Iterator[Fact]:
    owner = platform_dir.running(settings.root)
    if owner is None:
        yield Fact("platform", "failed", f"none runs on {settings.root}", "start it with `faas up`")
        return
    yield Fact("platform", "ok", f"process {owner.pid} runs on {settings.root}")
    for process in (platform_dir.published(settings.root) or {}).get("processes", ()):
        alive = process["pid"] is not None and living.started_at(process["pid"]) is not None
        text = f"process {process['pid']}, started again {process['restarts']} times" if alive else "not running now"
        log = settings.root / "logs" / f"{process['name']}.log"
        yield Fact(f"process {process['name']}", "ok" if alive else "failed", text, "" if alive else f"see {log}")


def _redis(settings: settings_module.Settings) -> Iterator[Fact]:
    import redis

    url = _redis_url(settings)
    if not url:
        yield Fact("redis", "failed", "no embedded server runs and FAAS_REDIS_URL is not set")
        return
    try:
        with contextlib.closing(redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5)) as client:
            server: dict[str, Any] = client.info()
            if settings.durability == "strict":
                server |= cast(Any, client.config_get("appendfsync"))
            seconds, micros = client.time()
    except redis.RedisError as error:
        yield Fact("redis", "failed", f"does not answer: {error}")
        return
    product = server.get("valkey_version") or server.get("redis_version")
    if server.get("aof_last_write_status", "ok") != "ok":
        yield Fact("redis", "failed", "cannot write its append-only file, and refuses work", "is its disk full?")
    else:
        yield Fact("redis", "ok", f"answers, version {product}, {server.get('used_memory_human')} used")
    yield from _fitness(server, settings)
    yield _clock(int(seconds * 1000 + micros // 1000))


def _fitness(server: dict[str, Any], settings: settings_module.Settings) -> Iterator[Fact]:
    from faas.valkey import fitness

    found = list(fitness.findings(server, settings))
    for finding in found:
        yield Fact("durability", "failed" if finding.unfit else "warning", finding.text, finding.hint)
    if not found:
        yield Fact("durability", "ok", "append-only file on and written, nothing is evicted")


def _bounds(settings: settings_module.Settings) -> Iterator[Fact]:
    if not (url := _redis_url(settings)):
        return
    held = asyncio.run(_held(msgspec.structs.replace(settings, redis_url=url)))
    told = _told(held.counted_entries, held.counted_bytes, held.counted_unrecorded_bytes)
    if held.is_right:
        most = _told(settings.max_waiting_total, settings.max_waiting_bytes, settings.max_unrecorded_bytes)
        yield Fact("bounds", "ok", f"{told}; at most {most}")
    else:
        truth = _told(held.entries, held.bytes, held.unrecorded_bytes)
        yield Fact("bounds", "failed", f"the counter says {told}; in truth {truth}")


def _told(entries: int, size: int, unrecorded: int) -> str:
    return f"{entries} invocations of {size} bytes wait or run, {unrecorded} bytes of records on their way"


async def _held(settings: settings_module.Settings) -> recount.Held:
    from faas.queue import census, invocations

    queue = await invocations.Queue.of(settings)
    try:
        return await census.held(queue)
    finally:
        queue.close()


def _clock(redis_ms: int) -> Fact:
    skew_ms = clock.now_ms() - redis_ms
    wall_ns, steady_s = clock.now_ns(), clock.steady_s()
    time.sleep(0.05)
    drift_ms = abs((clock.now_ns() - wall_ns) / 1e6 - (clock.steady_s() - steady_s) * 1000)
    if abs(skew_ms) > _SKEW_MS or drift_ms > 10:
        text = f"wall clock {skew_ms:+d} ms from Redis, {drift_ms:.1f} ms from the monotonic clock in 50 ms"
        return Fact("clock", "warning", text, "timers and ages will be off; is the time synchronised?")
    return Fact("clock", "ok", f"{skew_ms:+d} ms from Redis, steady")


def _docker(settings: settings_module.Settings) -> Iterator[Fact]:
    import docker
    import requests

    from runners.sandbox import abilities, choose, promises

    chosen = settings.engine if settings.engine != "auto" else choose.written_down(settings.root)
    if chosen == choose.PROCESS:
        hint = "`faas up --engine docker` changes that for good" if settings.engine == "auto" else ""
        yield Fact("docker", "warning", "not used: functions run as plain processes, which isolates nothing", hint)
        return
    bad, hint = "warning", "without it functions run as plain processes, which isolates nothing, and not at all as root"
    if chosen == choose.DOCKER:
        bad, hint = "failed", "functions run in containers here, or not at all: start the Docker daemon"
    try:
        with contextlib.closing(docker.from_env(timeout=5)) as client:
            has = abilities.parse(client.info())
            yield Fact("docker", "ok", promises.described(has, settings.sandbox_runtime))
            yield from _sandboxes(has, settings)
            yield _base_image(client, settings)
    except (docker.errors.DockerException, requests.RequestException) as error:
        yield Fact("docker", bad, f"no engine answers: {error}".splitlines()[0], hint)


def _sandboxes(has: abilities.Abilities, settings: settings_module.Settings) -> Iterator[Fact]:
    from runners.sandbox import abilities, base, promises, uids

    try:
        abilities.check_runtime(settings.sandbox_runtime, has)
        given = uids.given(settings.sandbox_uids, has)
    except base.EngineUnavailable as error:
        yield Fact("sandboxes", "failed", error.message, error.hint)
        return
    found = promises.gaps(has, os.geteuid() == 0)
    for gap in found:
        yield Fact("sandboxes", "warning", gap.text, gap.hint)
    if not found:
        yield Fact("sandboxes", "ok", f"all that is promised of them holds here; users {given.first} to {given.last}")


def _base_image(client: Any, settings: settings_module.Settings) -> Fact:
    tags = sorted(tag for image in client.images.list() for tag in image.tags)
    if not settings.base_image:
        return Fact("base image", "ok", f"found, pulled or built when a node starts; {len(tags)} images here")
    if settings.base_image in tags or f"{settings.base_image}:latest" in tags:
        return Fact("base image", "ok", f"{settings.base_image} is here")
    return Fact("base image", "warning", f"{settings.base_image} is not here", "it is pulled when a node starts")


def _disk(settings: settings_module.Settings) -> Iterator[Fact]:
    try:
        free = shutil.disk_usage(settings.root).free
    except OSError as error:
        yield Fact("disk", "failed", f"{settings.root}: {error.strerror}")
        return
    text = f"{free / 1024**3:.1f} GiB free under {settings.root}"
    yield Fact("disk", "ok" if free > _LOW_DISK_BYTES else "warning", text)


def _buckets(settings: settings_module.Settings) -> Iterator[Fact]:
    import sqlalchemy

    from faas.core import bucket_places
    from faas.store import functions

    if not settings.database_url and not (settings.root / "ledger.db").exists():
        return
    engine = _database(settings)
    try:
        declared = functions.Functions(engine).buckets()
    except sqlalchemy.exc.SQLAlchemyError:
        return  # what is said of the ledger says why
    finally:
        engine.dispose()
    refused = bucket_places.refusals(bucket_places.Places(platform_dir.as_running(settings)), declared)
    for error in refused:
        yield Fact("bucket", "failed", error.message, error.hint)
    if not refused:
        yield Fact("buckets", "ok", f"{len(declared)}, each in a folder where a bucket may be")


def _conservation(settings: settings_module.Settings) -> Iterator[Fact]:
    from faas.cli import client

    status = client.Client(endpoint.find(settings.root)).get("/api/v1/status")
    if drift := status["drift"]:
        text = f"{drift} invocations are in no place or in two"
        yield Fact("conservation", "failed", text, "`faas status` shows the function")
    else:
        yield Fact("conservation", "ok", f"accepted = waiting + running + retrying + done + dead, "
                                         f"over {len(status['functions'])} functions")  # fmt: skip


def _nodes(settings: settings_module.Settings) -> Iterator[Fact]:
    from faas.cli import client

    control = client.Client(endpoint.find(settings.root))
    nodes = control.get("/api/v1/status")["nodes"]
    yield Fact("nodes", "ok" if nodes else "failed", f"{len(nodes)} with a valid lease")
    if not nodes:
        return
    most_mb = max(node["memory_mb"] for node in nodes)
    asked_mb = {one["name"]: one["config"]["memory_mb"] for one in control.get("/api/v1/functions")["functions"]}
    too_big = [f"{name} ({wanted_mb} MB)" for name, wanted_mb in asked_mb.items() if wanted_mb > most_mb]
    if too_big:
        text = f"no node has more than {most_mb} MB, so what is sent to these waits: {', '.join(too_big)}"
        yield Fact("memory", "failed", text, "raise the setting `memory_mb`, or deploy them with less `memory`")
    else:
        yield Fact("memory", "ok", f"a node has {most_mb} MB, enough for each function")


def _journals(settings: settings_module.Settings) -> Iterator[Fact]:
    from runners.journal import leftovers

    found = leftovers.census(settings.journals)
    text = f"{found.held} of living nodes, {found.left} of nodes that have ended, with {found.left_bytes} bytes"
    if found.left:
        yield Fact(
            "journals", "warning", text, "a node of this machine ships those within a heartbeat; is one running?"
        )
    else:
        yield Fact("journals", "ok", text)


def _ledger(settings: settings_module.Settings) -> Iterator[Fact]:
    import sqlalchemy

    path = settings.root / "ledger.db"
    if not settings.database_url and not path.exists():
        yield Fact("ledger", "warning", f"{path} does not exist yet", "it is made when the platform first starts")
        return
    engine = _database(settings)
    try:
        with engine.connect() as connection:
            if settings.database_url:
                connection.execute(sqlalchemy.text("SELECT 1"))
                verdict = "ok"
            else:
                verdict = str(connection.execute(sqlalchemy.text("PRAGMA quick_check(1)")).scalar())
    except sqlalchemy.exc.SQLAlchemyError as error:
        yield Fact("ledger", "failed", f"cannot be read: {error}".splitlines()[0])
        return
    finally:
        engine.dispose()
    yield Fact("ledger", "ok" if verdict == "ok" else "failed", "readable and whole" if verdict == "ok" else verdict)


def _database(settings: settings_module.Settings) -> sqlalchemy.Engine:
    """The database, to be read only."""
    import sqlalchemy

    url = settings.database_url or f"sqlite:///file:{settings.root / 'ledger.db'}?mode=ro&uri=true"
    return sqlalchemy.create_engine(url)


def _redis_url(settings: settings_module.Settings) -> str:
    facts = platform_dir.published(settings.root) if platform_dir.running(settings.root) else None
    return str((facts or {}).get("redis_url") or settings.redis_url)


_CHECKS: tuple[Check, ...] = (
    *(_platform, _redis, _bounds, _docker, _disk, _buckets),
    *(_conservation, _nodes, _journals, _ledger),
)
