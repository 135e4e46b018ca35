"""`faas up` and `faas down`: the whole platform in one command, in the foreground or detached."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from faas.cli import child, log_format, options, output, platform_dir, platform_logs, ports, supervisor, watching
from faas.core import errors
from faas.core import settings as settings_module
from faas.link import address
from faas.valkey import embedded, fitness, syncing

_log = logging.getLogger(__name__)

_STOPS_FIRST, _NODES, _STOPS_LAST = range(3)
_DOWN_MARGIN_S = 30.0
_PUBLISH_AGAIN_S = 1.0


class _Nodes(click.ParamType[int]):
    """A number of nodes, or ``auto``."""

    name = "auto|number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """0 for ``auto``."""
        return 0 if value == "auto" else int(click.IntRange(1, 256).convert(value, param, ctx))


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), help="Port of the gateway; 0 takes any free one.")
@click.option("--api-port", type=click.IntRange(0, 65535), help="Port of the control API; 0 takes any free one.")
@click.option("--host", help="Address that the gateway and the control API listen on.")
@click.option("--engine", type=click.Choice(["auto", "docker", "process"]), help="What contains user code.")
@click.option(
    "--sandbox-runtime",
    metavar="NAME",
    help="Runtime of the containers by its name in the engine: runsc (gVisor), kata; the engine's default if left out.",
)
@click.option("--nodes", type=_Nodes(), help="Node processes to start: a number, or auto (the default).")
@click.option("--quiet", "-q", is_flag=True, help="In the foreground, print no attempts and no lines of functions.")
@click.option("--detach", "-d", is_flag=True, help="Return when the platform is ready, and leave it running.")
@options.json_option
@click.option("--ready-fd", type=int, hidden=True)
def up_command(*, detach: bool, quiet: bool, as_json: bool, ready_fd: int | None, **flags: Any) -> None:
    """Start the platform: the embedded Redis server (unless FAAS_REDIS_URL names one), node, scheduler, recorder,
    control API and builder. What dies is started again; Ctrl-C ends it all, a second one at once.

    In the foreground each attempt and each line that functions print is shown as it is recorded, at most a hundred of
    each a second; not with --quiet or --json.

    The control API listens on port 8081, or on any free one where that is taken; `faas status` names it.

    \b
    faas up                                # in the foreground
    faas up --detach --json --port 0       # prints {"gateway": URL, "api": URL, "token_file": PATH} when ready
    faas --data-dir /srv/faas up -d        # another platform, beside the first
    """
    import uvloop

    settings = options.settings(**flags)
    _refuse_urls(settings)
    # Before anything is made: a file that was open for a moment may have been opened.
    platform_dir.keep_to_owner()
    platform_dir.prepare(settings.data.root, output.say)
    # Only the process that stays reads the settings of its logs; this one ends when the other is ready.
    if detach:
        uvloop.run(_detached(settings, as_json))
        return
    log_format.start(settings.platform_logs)
    announce = _to_pipe(ready_fd) if ready_fd is not None else _foreground(settings.data.root, as_json, quiet)
    try:
        uvloop.run(_up(settings, announce))
    except errors.FaasError as error:
        if ready_fd is not None:
            told = {"failed": error.body()["error"], "status": error.http_status}
            # To whoever detached us and waits: our own stderr goes to a log that nobody looks at.
            os.write(ready_fd, msgspec.json.encode(told) + b"\n")
        raise


def _refuse_urls(settings: settings_module.Settings) -> None:
    """Raise `errors.BadRequest` for URLs that lead nowhere: each process would say so otherwise, and start again."""
    if settings.redis.redis_url:
        address.parse(settings.redis.redis_url)
    if settings.data.database_url:
        from faas.store import urls  # SQLAlchemy takes long to be imported

        urls.read(settings.data.database_url)


@click.command()
@options.json_option
def down_command(*, as_json: bool) -> None:
    """Stop the platform of this data directory and wait until it has gone. Attempts that run get their grace period.

    \b
    faas down
    """
    import uvloop

    settings = options.settings()
    owner = platform_dir.running(settings.data.root)
    if owner is not None:
        # Each of the three phases in which the tree ends may take a grace period.
        uvloop.run(_end(owner, settings.data.root, settings.runners.grace_ms / 1000 * 3 + _DOWN_MARGIN_S))
    if as_json:
        output.emit({"stopped": owner.pid if owner else None})
    else:
        output.say(f"stopped (process {owner.pid})" if owner else f"no platform is running on {settings.data.root}")


async def _up(settings: settings_module.Settings, announce: Any) -> None:
    from runners.engines import choose

    # First, so that a machine without Docker is told so before a server is started.
    await choose.check_engine(settings.data.root, settings.sandboxes)
    root = settings.data.root
    with (
        platform_dir.held(root),
        ports.reserve(settings.listening.host, settings.listening.port, "--port") as gateway,
        _api_port(settings) as api,
    ):
        token_file = platform_dir.token(root)
        # Reserved here and opened by children: a child that is started again has to find the same port free.
        settings = settings_module.changed(settings, port=gateway.getsockname()[1], api_port=api.getsockname()[1])
        server = None if settings.redis.redis_url else _server(settings)
        changed = asyncio.Event()
        tree = supervisor.Supervisor(
            server, root / "logs", grace_s=settings.runners.grace_ms / 1000, say=output.say, on_change=changed.set
        )
        facts: dict[str, Any] = {
            "gateway": ports.url(settings.listening.host, settings.listening.port),
            "api": ports.url(settings.listening.host, settings.listening.api_port),
            "token_file": str(token_file),
        }

        def publish() -> None:
            own = {
                "pid": os.getpid(),
                "redis_url": settings.redis.redis_url,
                "bucket_roots": settings.data.bucket_roots,
            }
            platform_dir.publish(root, {**facts, **own, "processes": tree.report()})

        stop = _stop_on_signals(tree)
        beside: list[asyncio.Task[None]] = []
        try:
            settings = settings_module.changed(
                settings, redis_url=await tree.start_server() or settings.redis.redis_url
            )
            # Before any child starts: each would die for the same reason, and be started again without end.
            await asyncio.to_thread(fitness.require, settings.redis, settings.queues, settings.results)
            if await _unless_stopped(tree.start(_specs(settings)), stop):
                publish()
                beside.append(asyncio.create_task(_publish_changes(changed, publish), name="publish changes"))
                beside.append(asyncio.create_task(_sync_journals(settings.data.journals), name="sync journals"))
                beside.append(asyncio.create_task(_keep_logs_small(settings), name="keep logs small"))
                announce({**facts, **_warning(tree)})
                await stop.wait()
        finally:
            _log.info("platform_stops", extra={"data_dir": str(root)})
            for task in beside:
                task.cancel()
            try:
                await tree.stop()
            finally:
                # Nobody else is left to do it.
                await _sweep(settings)
                platform_dir.withdraw(root)


def _foreground(root: Path, as_json: bool, quiet: bool) -> Callable[[dict[str, Any]], None]:
    def announce(facts: dict[str, Any]) -> None:
        _print(facts, as_json)
        if not as_json and not quiet:
            watching.start(root)

    return announce


def _api_port(settings: settings_module.Settings) -> socket.socket:
    """The control API's port. The one that nobody chose gives way where another platform has it."""
    try:
        return ports.reserve(settings.listening.host, settings.listening.api_port, "--api-port")
    except errors.Conflict:
        # Whoever chose it has told others; the default is told by `faas status` alone.
        if settings.listening.api_port != settings_module.Settings().listening.api_port:
            raise
        return ports.reserve(settings.listening.host, 0, "--api-port")


async def _publish_changes(changed: asyncio.Event, publish: Callable[[], None]) -> None:
    """Say what has been started again, until cancelled, and as soon as there is room when the disk is full."""
    while True:
        await changed.wait()
        changed.clear()
        try:
            publish()
        except OSError as error:
            _log.warning("not_published", extra={"reason": str(error)})
            await asyncio.sleep(_PUBLISH_AGAIN_S)
            changed.set()


async def _sync_journals(root: Path) -> None:
    from runners.journal import syncing as journals

    await syncing.keep_synced(root, journals.sync)


async def _keep_logs_small(settings: settings_module.Settings) -> None:
    await platform_logs.keep_small(
        (settings.data.root / "logs", settings.data.root / "redis"), settings.platform_logs.keep_platform_log_mb
    )


def _server(settings: settings_module.Settings) -> embedded.EmbeddedServer:
    return embedded.EmbeddedServer(
        settings.data.root / "redis",
        program=settings.redis.redis_server,
        memory_mb=settings.redis.redis_memory_mb,
        syncs_always=settings.redis.durability == "strict",
    )


async def _sweep(settings: settings_module.Settings) -> None:
    """The last node may have been killed: then nobody else removes its sandboxes."""
    from runners.engines import choose

    try:
        await choose.sweep_for_the_dead(settings.data.root, settings.sandboxes)
    except (errors.Unavailable, OSError) as error:
        _log.warning("not_swept", extra={"reason": str(error)})


async def _unless_stopped(starting: Any, stop: asyncio.Event) -> bool:
    """Whether the start went through before a signal asked to stop; its errors are raised."""
    start = asyncio.ensure_future(starting)
    stopped = asyncio.ensure_future(stop.wait())
    await asyncio.wait({start, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    # Looked at first: a start that went through at the moment of the signal is stopped as any other.
    if start.done():
        await start
        return True
    start.cancel()
    await asyncio.wait({start})
    return False


def _specs(settings: settings_module.Settings) -> list[child.ChildSpec]:
    environ = settings_module.to_environ(settings)
    nodes = [
        ("node" if number == 1 else f"node-{number}", "node") for number in range(1, settings.runners.node_count + 1)
    ]
    rest = [(name, name) for name in ("scheduler", "builder", "api", "recorder")]
    # What brings work ends first and the recorder last: it takes in what the nodes write as they end.
    phases = {"node": _NODES, "recorder": _STOPS_LAST}
    return [
        child.ChildSpec(
            name=name,
            command=[sys.executable, "-m", "faas.cli.main", command],
            environ=environ,
            phase=phases.get(command, _STOPS_FIRST),
        )
        for name, command in [*nodes, *rest]
    ]


def _stop_on_signals(tree: supervisor.Supervisor) -> asyncio.Event:
    stop = asyncio.Event()

    def asked() -> None:
        # The second signal: whoever sends it does not want to wait.
        if stop.is_set():
            tree.kill()
        stop.set()

    # SIGHUP, too: a terminal that is closed ends what was started in it.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, asked)
    return stop


def _warning(tree: supervisor.Supervisor) -> dict[str, str]:
    """What a person has to know before anything runs here."""
    if all(one.info.get("engine") != "process" for one in tree.children):
        return {}
    return {"warning": "WARNING: no Docker engine is used: functions run as plain processes, which isolates nothing"}


def _print(facts: dict[str, Any], as_json: bool) -> None:
    if "warning" in facts:
        output.say(facts.pop("warning"))
    if as_json:
        output.emit(facts)
    else:
        output.line(f"gateway  {facts['gateway']}\napi      {facts['api']}\ntoken    {facts['token_file']}")
        output.line(f"page     {facts['api']}/  (`faas open` logs you in)")
    sys.stdout.flush()


def _to_pipe(descriptor: int) -> Any:
    def tell(facts: dict[str, Any]) -> None:
        os.write(descriptor, msgspec.json.encode(facts) + b"\n")
        os.close(descriptor)

    return tell


async def _detached(settings: settings_module.Settings, as_json: bool) -> None:
    log_path = settings.data.root / "logs" / "up.log"
    reading, writing = os.pipe()
    try:
        started = _spawn_detached(settings, log_path, writing)
    finally:
        os.close(writing)
    # Our end of the pipe is closed by now, so its end is read when the platform dies before it is ready.
    told = await child.read_ready(reading)
    if told is None:
        raise errors.Unavailable("the platform ended before it was ready", hint=f"see {log_path}")
    if "failed" in told:
        started.wait()
        raise errors.told(told["failed"], told["status"])
    _print(told, as_json)


def _spawn_detached(settings: settings_module.Settings, log_path: Path, ready: int) -> subprocess.Popen[bytes]:
    with log_path.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "faas.cli.main", "up", "--ready-fd", str(ready)],
            env=settings_module.to_environ(settings),
            # A platform that runs for months must not keep a disk from being unmounted.
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(ready,),
            # Ctrl-C in this terminal is not meant for it.
            start_new_session=True,
        )


async def _end(owner: platform_dir.Owner, root: Path, within_s: float) -> None:
    """Signal exactly the process that took the lock, and wait until it has gone."""
    try:
        # Opened before it is judged, so that what is signalled is what was judged.
        process = os.pidfd_open(owner.pid)
    except ProcessLookupError:
        return
    try:
        if not platform_dir.is_alive(owner):
            return
        signal.pidfd_send_signal(process, signal.SIGTERM)
        gone = asyncio.Event()
        asyncio.get_running_loop().add_reader(process, gone.set)
        await asyncio.wait_for(gone.wait(), within_s)
    except PermissionError as error:
        raise errors.Unauthorized(
            f"process {owner.pid} is not yours to stop", hint="run as who ran `faas up`"
        ) from error
    except TimeoutError as error:
        raise errors.TimedOut(
            f"process {owner.pid} has not ended within {within_s:.0f} s", hint=f"see {root / 'logs'}"
        ) from error
    finally:
        os.close(process)
