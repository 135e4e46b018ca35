"""What may not cost more because more exists: deploys, the doctor, listings, routes, and the platform at rest.

All on the engine without Docker: containers are in none of these figures. Each case has a platform of its own, which
ends before the next begins.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click
import msgspec
import redis

from faas.core import errors
from tests.bench import cpu_time, growth_projects, peers_home, platform, processes, report, rounds, wanted
from triggers.gateway import routes

_FAAS = "faas"
_FIRST_DEPLOY, _SAME_DEPLOY = "deploy of 200 functions, one source of 12 MB", "the same, unchanged"
_LISTING = "list of 100,000 objects"
_NO_DOCTOR = "longest wait in Redis, nothing counted"
_MANY, _LARGE = "the same, doctor counts 500,000 entries", "the same, doctor counts 100 events of 5 MB"
_FEW_ROUTES, _LAST_ROUTE, _NO_ROUTE = "first of 10 routes", "last of 3,000 routes", "none of 3,000 routes"
_IDLE_FEW, _IDLE_MANY = "idle, 10 functions", "idle, 3,000 functions"
_IDLE_S = 60
_SETTLED_S = 20
_LOOKED_S = 15
_ROUTE_LOOKS = 20_000


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """How much there is of everything; the cases are named for these numbers."""

    deployed: int = 200
    source_bytes: int = 12 * 1024 * 1024
    objects: int = 100_000
    waiting: int = 500_000
    large: int = 100
    large_bytes: int = 5 * 1024 * 1024
    routes: int = 3_000
    idle: int = 3_000


FIGURES = (
    report.Figure("s", "seconds", 2),
    report.Figure("redis_mb", "MB into Redis", 1),
    report.Figure("page_ms", "slowest page, ms", 0),
    report.Figure("wait_ms", "longest wait, ms", 1),
    report.Figure("us", "µs", 2),
    report.Figure("cpu_s", "CPU of a minute, s", 2),
)
AIMS = (
    report.Aim(case=_FIRST_DEPLOY, contender=_FAAS, figure="s", most=12),
    report.Aim(case=_SAME_DEPLOY, contender=_FAAS, figure="s", most=1),
    report.Aim(case=_LISTING, contender=_FAAS, figure="s", most=1),
    report.Aim(case=_MANY, contender=_FAAS, figure="wait_ms", most=20),
    report.Aim(case=_LARGE, contender=_FAAS, figure="wait_ms", most=20),
    *(
        report.Aim(case=case, contender=_FAAS, figure="us", against=_FAAS, against_case=_FEW_ROUTES, most=1.2)
        for case in (_LAST_ROUTE, _NO_ROUTE)
    ),
    report.Aim(case=_IDLE_MANY, contender=_FAAS, figure="cpu_s", against=_FAAS, against_case=_IDLE_FEW, most=1.5),
)


def measure(
    home: Path, asked: wanted.Wanted, say: Callable[[str], None], sizes: Sizes | None = None
) -> list[rounds.Sample]:
    """All samples; a round takes some ten minutes."""
    sizes, found = sizes or Sizes(), list[rounds.Sample]()
    for number in range(asked.rounds):
        for part in (_routes, _deploys, _listing, _doctor, _idle):
            say(f"growth: round {number + 1} of {asked.rounds},{part.__name__.replace('_', ' ')}")
            folder = home / f"{number}{part.__name__}"
            folder.mkdir()
            found += [
                rounds.Sample(case=case, contender=_FAAS, round=number, figures=figures)
                for case, figures in part(folder, sizes, asked)
            ]
    return found


def notes() -> list[str]:
    """What the figures are of."""
    return ["Routes are looked up in one process, by the code of the gateway. Waits are those of a `PING`."]


_Case = tuple[str, dict[str, float]]


def _took_s(work: Callable[[], object]) -> float:
    began_s = time.monotonic()
    work()
    return time.monotonic() - began_s


def _command(root: Path, *arguments: str) -> bytes:
    """What a command of `faas` prints about the platform in a data directory; also when it exits with a complaint."""
    env = processes.environ(FAAS_DATA_DIR=str(root), FAAS_ENGINE="process")
    return processes.output([peers_home.own_command("faas"), *arguments], env=env)


def _deploys(home: Path, sizes: Sizes, asked: wanted.Wanted) -> Iterator[_Case]:
    project = growth_projects.sharing(home / "project", sizes.deployed, sizes.source_bytes)
    with _running(home, growth_projects.small(home / "first", 1)) as on:
        server = redis.Redis.from_url(on.redis_url)
        for case in (_FIRST_DEPLOY, _SAME_DEPLOY):
            before = _written(server)
            took_s = _took_s(lambda: _command(on.root, "deploy", str(project)))
            yield case, {"s": took_s, "redis_mb": (_written(server) - before) / 1e6}
        server.close()


def _written(server: redis.Redis) -> int:
    """Bytes that Redis was sent since it was started, whoever sent them."""
    return int(server.info("stats")["total_net_input_bytes"])


def _listing(home: Path, sizes: Sizes, asked: wanted.Wanted) -> Iterator[_Case]:
    project = growth_projects.with_objects(home / "project", sizes.objects)
    with _running(home, project, bucket_roots=str(home)) as on:
        pages = list(_pages(on))
        if sum(count for count, _ in pages) != sizes.objects:
            raise click.ClickException(f"of {sizes.objects} objects the pages held {sum(count for count, _ in pages)}")
        yield _LISTING, {"s": sum(took for _, took in pages), "page_ms": 1000 * max(took for _, took in pages)}


def _pages(on: platform.Platform) -> Iterator[tuple[int, float]]:
    """Each page of the listing: how many objects it holds, and the seconds that it took."""
    after: str | None = ""
    while after is not None:
        began_s = time.monotonic()
        page = on.objects(growth_projects.BUCKET, after, 1_000)
        yield len(page["objects"]), time.monotonic() - began_s
        after = page["next"]


def _doctor(home: Path, sizes: Sizes, asked: wanted.Wanted) -> Iterator[_Case]:
    for case, count, size in ((_MANY, sizes.waiting, 2), (_LARGE, sizes.large, sizes.large_bytes)):
        folder = home / str(count)
        folder.mkdir()
        # One runs without end, and all others wait for it.
        with _running(folder, growth_projects.never_done(folder / "project"), **_ROOMY) as on:
            _send(on, count, b'"' + b"x" * (size - 2) + b'"')
            if case == _MANY:
                yield _NO_DOCTOR, {"wait_ms": _longest_wait_ms(on, lambda: time.sleep(_LOOKED_S))}
            yield case, {"wait_ms": _longest_wait_ms(on, lambda: _doctor_says(on))}


_ROOMY = {
    "max_waiting_async": "2000000", "max_waiting_total": "4000000",
    "max_waiting_bytes": str(1_200 << 20), "redis_memory_mb": "4096", "max_event_bytes": str(8 << 20),
}  # fmt: skip


def _doctor_says(on: platform.Platform) -> None:
    with contextlib.suppress(click.ClickException):  # a machine under such a load is not in order, which it says
        _command(on.root, "doctor")


def _send(on: platform.Platform, count: int, event: bytes) -> None:
    """Have so many events wait, in as few requests as may be."""
    at_once = max(1, min(_MOST_EVENTS, _MOST_BODY // len(event)))
    for start in range(0, count, at_once):
        body = b"[" + b",".join([event] * min(at_once, count - start)) + b"]"
        status, _, answer = processes.post(on.batch_url(growth_projects.NEVER_DONE), body, on.authorization)
        if status != 202 or b'"refused"' in answer:
            raise click.ClickException(f"the batch was answered {status}: {answer[:300].decode(errors='replace')}")


_MOST_EVENTS = 1_000
_MOST_BODY = 1_000_000


def _longest_wait_ms(on: platform.Platform, work: Callable[[], object]) -> float:
    """How long one PING of another connection took at the most while something was done."""
    done, longest_s = threading.Event(), 0.0
    worker = threading.Thread(target=lambda: (work(), done.set()))
    with contextlib.closing(redis.Redis.from_url(on.redis_url)) as server:
        server.ping()
        worker.start()
        while not done.wait(0.001):
            longest_s = max(longest_s, _took_s(server.ping))
        worker.join()
    return longest_s * 1000


def _routes(home: Path, sizes: Sizes, asked: wanted.Wanted) -> Iterator[_Case]:
    few, many = growth_projects.routes(10), growth_projects.routes(sizes.routes)
    yield _FEW_ROUTES, {"us": _look_us(few, "/group0/part0/0/x")}
    last = sizes.routes - 1
    yield _LAST_ROUTE, {"us": _look_us(many, f"/group{last % 7}/part{last % 11}/{last}/x")}
    yield _NO_ROUTE, {"us": _look_us(many, "/group0/part0/nobody/x")}


def _look_us(table: routes.Routes, path: str) -> float:
    def look() -> None:
        for _ in range(_ROUTE_LOOKS):
            with contextlib.suppress(errors.NotFound):
                table.find("GET", path)

    return _took_s(look) * 1e6 / _ROUTE_LOOKS


def _idle(home: Path, sizes: Sizes, asked: wanted.Wanted) -> Iterator[_Case]:
    for case, count in ((_IDLE_FEW, 10), (_IDLE_MANY, sizes.idle)):
        folder = home / str(count)
        folder.mkdir()
        first, *others = growth_projects.parts(folder, count)
        with _running(folder, first) as on:
            for project in others:
                _command(on.root, "deploy", str(project))
            yield case, {"cpu_s": _cpu_s(on, asked.seconds or _IDLE_S)}


def _cpu_s(on: platform.Platform, seconds: int) -> float:
    """Processor time of all processes of a platform that nobody calls, scaled to a minute."""
    # What a deploy leaves to do (nodes that load a catalog, a merge of figures) is no rest.
    time.sleep(_SETTLED_S)
    meter = cpu_time.Tree(on.processes())
    before = meter.us()
    time.sleep(seconds)
    return sum(cpu_time.spent(before, meter.us()).values()) / 1e6 * 60 / seconds


@contextlib.contextmanager
def _running(home: Path, project: Path, **settings: str) -> Iterator[platform.Platform]:
    with platform.running(home / "data", project, engine="process", api_port="0", **settings) as on:
        yield on


def names() -> Sequence[str]:
    """All cases, in the order in which they are measured."""
    return (
        _FEW_ROUTES, _LAST_ROUTE, _NO_ROUTE, _FIRST_DEPLOY, _SAME_DEPLOY, _LISTING, _NO_DOCTOR, _MANY, _LARGE,
        _IDLE_FEW, _IDLE_MANY,
    )  # fmt: skip
