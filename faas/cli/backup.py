"""`faas backup` and `faas restore`: a platform's ledger, queue, artifacts and settings in one file, and back."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from faas.cli import options, output, platform_dir
from faas.core import clock, errors, groups
from faas.core import settings as settings_module

if TYPE_CHECKING:
    from faas.backup import archive

_SHIPPED_WITHIN_S = 30.0
_LOOK_S = 0.05


@click.command()
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--without-queue", is_flag=True, help="Leave the queue out: it is in a Redis of your own.")
@click.option("--without-ledger", is_flag=True, help="Leave the ledger out: it is in PostgreSQL.")
@options.json_option
def backup_command(*, target: Path, without_queue: bool, without_ledger: bool, as_json: bool) -> None:
    """Write ledger, queue, artifacts, settings and token into the file TARGET, or into one of a folder TARGET.

    All is as it was at one moment, and the platform goes on meanwhile; it need not run. Whoever reads the file can
    read what functions were given, their environment and the token: it has mode 0600, and belongs to nobody else.
    Objects of buckets, logs of the platform's own processes and caches are not in it.

    \b
    faas backup /mnt/backups               # faas-2026-11-29T16-20-05Z.tar there
    faas backup before-upgrade.tar --json
    """
    from faas.backup import taking

    platform_dir.keep_to_owner()
    settings = options.settings()
    left_out = [
        taking.BUCKETS,
        *([taking.QUEUE] if without_queue else []),
        *([taking.LEDGER] if without_ledger else []),
    ]
    file = _file(target)
    with _source(settings) as redis_url:
        source = taking.BackupSource(data=settings.data, redis_url=redis_url, left_out=tuple(left_out))
        _require_ours(settings, source)
        made = taking.take(source, file, lambda: _shipped(settings, redis_url), _told(as_json))
    _show(made, file, "wrote", as_json)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--into", type=click.Path(path_type=Path), metavar="DIR", help="Data directory to make [--data-dir].")
@options.json_option
def restore_command(*, file: Path, into: Path | None, as_json: bool) -> None:
    """Make a data directory from the backup FILE: one that is not there yet, or is empty. Then `faas up`.

    What waited when the backup was taken waits, what ran runs again, bills are what they were. A file that was cut or
    changed is refused. Do not let the old platform and its copy run at the same time on the same buckets and URLs:
    what waits would run twice.

    \b
    faas restore faas-2026-11-29T16-20-05Z.tar --into /srv/faas
    faas --data-dir /srv/faas up -d
    """
    from faas.backup import restoring

    platform_dir.keep_to_owner()
    root = into or options.settings().data.root
    made = restoring.restore(file.absolute(), root.absolute())
    _show(made, root, "restored", as_json)
    if not as_json and made.left_out:
        output.say(f"not in it: {', '.join(made.left_out)}")


def _file(target: Path) -> Path:
    target = target.absolute()
    if not target.is_dir():
        if not target.parent.is_dir():
            raise errors.NotFound(f"{target.parent} is no folder", hint="make it first")
        return target
    at = time.strftime("%Y-%m-%dT%H-%M-%SZ", time.gmtime(clock.now_ms() / 1000))
    return target / f"faas-{at}.tar"


@contextlib.contextmanager
def _source(settings: settings_module.Settings) -> Iterator[str]:
    """The URL of Redis when the platform runs; else an empty one, and nobody starts it meanwhile."""
    root = settings.data.root
    if not root.is_dir():
        raise errors.NotFound(f"{root} is no data directory", hint="name it with --data-dir")
    if platform_dir.running(root) is None:
        with platform_dir.held(root):
            yield ""
        return
    facts = platform_dir.published(root)
    if facts is None:
        raise errors.Unavailable(f"the platform on {root} starts or ends just now", hint="try again in a moment")
    yield str(facts.get("redis_url", ""))


def _require_ours(settings: settings_module.Settings, source: Any) -> None:
    """Raise when what is wanted is not in the data directory."""
    from faas.backup import taking

    if source.has(taking.QUEUE) and not source.redis_url and settings.redis.redis_url:
        raise errors.Conflict(
            "the queue is in a Redis of your own, and a backup cannot hold it", hint="add --without-queue"
        )
    if source.has(taking.LEDGER) and not settings.data.database_url and not (source.root / "ledger.db").is_file():
        raise errors.NotFound(f"{source.root} holds no platform", hint="name its data directory with --data-dir")


def _shipped(settings: settings_module.Settings, redis_url: str) -> None:
    """Wait until the calls that have ended by now are in Redis. Raises `errors.Unavailable` when they do not come."""
    import redis

    from faas.queue import keys as keyring

    key = keyring.Keys(settings.redis.redis_prefix).journals
    with redis.Redis.from_url(redis_url, socket_timeout=10) as client:
        wait_shipped(settings.data, lambda: _marks(client, key))


def _marks(client: Any, key: str) -> Mapping[str, int]:
    from faas.link import client as redis_client

    with redis_client.translated():
        found = cast(Mapping[bytes, bytes], client.hgetall(key))
    return {name.decode(): int(mark) for name, mark in found.items()}


def wait_shipped(
    data: groups.Data, marks: Callable[[], Mapping[str, int]], within_s: float = _SHIPPED_WITHIN_S
) -> None:
    """Wait until Redis has the journals up to where they were at the call. ``marks`` says up to where it has them."""
    ends = _ends(data.journals, marks())
    until = clock.steady_s() + within_s
    while left := _unshipped(data.journals, ends, marks()):
        if clock.steady_s() > until:
            raise errors.Unavailable(
                f"calls that have ended are not in Redis yet (journals {', '.join(left[:3])})",
                hint="does a node run, and does Redis answer? see `faas doctor`",
            )
        time.sleep(_LOOK_S)


def _ends(root: Path, marks: Mapping[str, int]) -> Mapping[str, int]:
    from runners.journal import format as form
    from runners.journal import reading

    ends = {}
    for folder in root.iterdir() if root.is_dir() else ():
        if not folder.is_dir() or folder.name.startswith(form.MAKING) or folder.name.endswith(form.GONE):
            continue
        # A segment goes when it is shipped: then what is left begins later, and is looked at again.
        for _ in range(5):
            with contextlib.suppress(FileNotFoundError):
                ends[folder.name] = reading.last_end(folder, marks.get(folder.name, 0))
                break
    return ends


def _unshipped(root: Path, ends: Mapping[str, int], marks: Mapping[str, int]) -> list[str]:
    return [name for name, end in ends.items() if marks.get(name, 0) < end and (root / name).is_dir()]


def _told(as_json: bool) -> Callable[[str], None]:
    return (lambda text: None) if as_json else output.say


def _show(made: archive.Manifest, place: Path, did: str, as_json: bool) -> None:
    if as_json:
        output.emit({
            "place": str(place),
            "bytes": made.bytes,
            "taken_at_ms": made.taken_at_ms,
            "version": made.version,
            "left_out": list(made.left_out),
            "artifacts": sum(part.name.startswith("artifacts/") for part in made.parts),
        })  # fmt: skip
        return
    output.say(f"{did} {place}: {made.bytes / 1024 / 1024:.1f} MB as of {output.moment(made.taken_at_ms)}")
