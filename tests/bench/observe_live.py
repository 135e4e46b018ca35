"""What happens while somebody looks: how late a line is shown, how late an alarm fires, and what a call costs then."""

from __future__ import annotations

import contextlib
import http.client
import os
import select
import statistics
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

from faas.core.processes import tether
from tests.bench import cpu_time, observe_on, peers_home, processes

INTERVAL_S = 15
"""How often alarms are looked at, by default."""

_SOURCE = Path(__file__).with_name("watched")
_RUN = f"{time.time_ns() // 1_000_000_000:x}"
_LINES = 20
_CALLS = 3_000
_WITHIN_S = 60


def name(number: int) -> str:
    """The function of a round. Each has its own, in each run: an alarm that fired may stay so for long."""
    return f"watched-{_RUN}-{number}"


def deploy(on: observe_on.On, home: Path, rounds: int) -> None:
    """Deploy a function with an alarm for each round."""
    functions = "".join(
        f"  {name(number)}:\n    runtime: python3\n    handler: app.handler\n    source: ./watched\n"
        f"    triggers:\n      - http: {{path: /{name(number)}, methods: [POST]}}\n"
        "    alarms:\n      fails: errors > 0 over 1m\n"
        for number in range(rounds)
    )
    home.mkdir(parents=True, exist_ok=True)
    (home / "faas.yaml").write_text(f"functions:\n{functions}")
    (home / "watched").mkdir(exist_ok=True)
    (home / "watched" / "app.py").write_text((_SOURCE / "app.py").read_text())
    on.command("deploy", str(home))


def shown_ms(on: observe_on.On, number: int) -> float:
    """How long after a print `faas logs -f` shows the line: the median of some."""
    command = tether.tethered([peers_home.own_command("faas"), "logs", name(number), "-f", "-n", "0"])
    late_ns: list[int] = []
    with subprocess.Popen(command, env=on.env, stdout=subprocess.PIPE) as follower:
        assert follower.stdout is not None
        try:
            _until_followed(on, number, follower)
            for _ in range(_LINES):
                _print(on, number)
                printed_ns = int(follower.stdout.readline().rsplit(maxsplit=1)[1])
                late_ns.append(time.time_ns() - printed_ns)
        finally:
            follower.terminate()
    return statistics.median(late_ns) / 1e6


def fired_after_s(on: observe_on.On, number: int) -> float:
    """How long after the end of a call that failed its alarm fires."""
    with contextlib.suppress(http.client.HTTPException):
        _call(on, number, b'{"fail": true}')
    began_s = time.monotonic()
    path = f"alarms/{name(number)}.fails"
    processes.until(
        lambda: any(each["state"] == "firing" for each in on.get(path)[0]["standings"]),
        within_s=_WITHIN_S,
        what=f"the alarm of {name(number)} fires",
    )
    return time.monotonic() - began_s


def call_us(on: observe_on.On, number: int, *, is_watched: bool) -> float:
    """Processor time of a warm call, of all processes; watched, or by nobody."""
    with _watching(on, number) if is_watched else contextlib.nullcontext():
        _calls(on, number, 200)
        before = cpu_time.Tree(on.running()).us()
        _calls(on, number, _CALLS)
        time.sleep(1)  # what is recorded later counts too
        after = cpu_time.Tree(on.running()).us()
    return sum(cpu_time.spent(before, after).values()) / _CALLS


@contextlib.contextmanager
def _watching(on: observe_on.On, number: int) -> Iterator[None]:
    """Somebody has the page of the function open, and follows its log."""
    log = on.root / "followers.log"
    faas = peers_home.own_command("faas")
    with processes.running([faas, "logs", name(number), "-f", "-n", "0"], log, env=on.env):
        url = urllib.parse.urlsplit(on.url(f"events?function={name(number)}"))
        connection = http.client.HTTPConnection(url.netloc, timeout=_WITHIN_S)
        connection.request("GET", f"{url.path}?{url.query}", headers=on.authorization)
        with contextlib.closing(connection):
            connection.getresponse().read(1)
            yield


def _until_followed(on: observe_on.On, number: int, follower: subprocess.Popen[bytes]) -> None:
    """Call until the follower shows a line."""
    assert follower.stdout is not None
    # What is printed before it follows is not shown: once is enough only most often.
    while not select.select([follower.stdout], [], [], 1.0)[0]:
        _print(on, number)
    while select.select([follower.stdout], [], [], 1.0)[0]:
        os.read(follower.stdout.fileno(), 65_536)


def _print(on: observe_on.On, number: int) -> None:
    """Let a line be printed by a call that goes on for a while after it."""
    processes.post(f"{on.gateway}/{name(number)}", b'{"print": true}', {"Faas-Invocation-Type": "async"})


def _call(on: observe_on.On, number: int, body: bytes) -> int:
    status, _, _ = processes.post(f"{on.gateway}/{name(number)}", body)
    return status


def _calls(on: observe_on.On, number: int, count: int) -> None:
    """So many calls, one after the other, on one connection."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(on.gateway).netloc, timeout=_WITHIN_S)
    with contextlib.closing(connection):
        for _ in range(count):
            connection.request("POST", f"/{name(number)}", b"{}", {"Content-Type": "application/json"})
            connection.getresponse().read()
