"""Small texts that decide much: settings, lines of timers, header fields."""

from __future__ import annotations

import random
from collections.abc import Iterable

import msgspec

from faas.core import errors, model
from faas.core import settings as settings_module
from faas.core.calls import calling, lineage
from faas.core.http import hosts
from faas.core.manifest import cron_lines, table
from tests.fuzz import edge
from triggers import schedule
from triggers.gateway import identity

_SETTINGS = b"""\
port = 8080
max_event_bytes = 1_000
grace_ms = 2000
engine = "docker"
bucket_roots = "/srv/a,/srv/b"
host_names = "a.example.com,*.b.example.com"
redis_url = "redis://localhost:6379/0"
currency = "EUR"
nodes = 2
"""
_FIELDS = settings_module.Settings.__struct_fields__
_CRON = (
    b"*/5 * * * *",
    b"0 0 1 1 *",
    b"15 30 2 * * 1-5",
    b"0 9 * * MON#2",
    b"0 0 L * *",
    b"0 0 29 2 1L",
    b"1,2,3-9/2 0-23 * JAN,FEB 7",
)
_ZONES = (b"UTC", b"Europe/Vienna", b"Australia/Lord_Howe", b"America/Sao_Paulo", b"Etc/GMT+12", b"Africa/Casablanca")
_AT_MS = (0, 951_782_400_000, 1_711_850_400_000, 1_729_990_800_000, 4_102_444_800_000, 32_503_680_000_000)


class SettingsEdge(edge.Edge):
    """`faas.toml` and the environment; read once, before anything runs."""

    name = "settings"
    most_cpu_s = 1.0
    tokens = (
        *(field.encode() for field in _FIELDS), b" = ", b'"', b"'''", b"[a]\n", b"[[a]]\n", b"a.b = 1\n", b"{a = 1}",
        b"2026-11-29T00:00:00Z", b"\0FAAS_PORT=", b"inf", b"~nobody-there/x",
    )  # fmt: skip

    async def open(self, around: edge.Around) -> None:
        """A place for the file."""
        self._file = around.home / "faas.toml"

    def seeds(self) -> Iterable[bytes]:
        """Some settings of each type, and one in the environment."""
        yield _SETTINGS
        yield b"\0FAAS_PORT=1\0FAAS_DATA_DIR=~/x\0FAAS_ENGINE=process"

    def make(self, chance: random.Random) -> bytes:
        """A setting with a strange value, in the file or in the environment."""
        value = chance.choice((*edge_values(), "9" * 400, "~nobody-there", "1.5", "yes", "0x10", "[1]", "1979-05-27"))
        field = chance.choice(_FIELDS)
        if chance.random() < 0.5:
            return f"\0FAAS_{field.upper()}={value}".encode()
        return f"{field} = {chance.choice((value, repr(value)))}\n".encode()

    async def attempt(self, given: bytes) -> str:
        """Read the file, and what follows each NUL as a variable."""
        text, *variables = given.split(b"\0")
        self._file.write_bytes(text)
        environ = dict(each.decode(errors="surrogateescape").partition("=")[::2] for each in variables)
        try:
            found = settings_module.load(environ, None, self._file)
        except errors.BadRequest as refused:
            return edge.said(refused.message)
        edge.check(
            settings_module.load(settings_module.to_environ(found, {}), None, self._file) == found,
            "not what a child gets",
        )
        edge.check(found.runners.node_count > 0, "no nodes")
        return f"taken {found.data.root.is_absolute()}"


class ScheduleEdge(edge.Edge):
    """Cron lines and zones. What a manifest takes is computed in the scheduler's loop, over and over."""

    name = "schedule"
    most_bytes = 250
    tokens = (b"*", b"*/", b",", b"-", b"/", b"#", b"L", b"W", b"?", b"MON", b"SUN", b"JAN", b"@daily", b"@reboot",
    b"0", b"59", b"60", b"31",
              b" ", b"\t", b"\n", *_CRON, *_ZONES, "\u0663".encode(), b"2-1", b"1-1", b"*/99999")  # fmt: skip

    def seeds(self) -> Iterable[bytes]:
        """Lines with all that they may hold, in zones whose clocks jump."""
        for line in _CRON:
            for zone in _ZONES[:3]:
                yield line + b"|" + zone

    def make(self, chance: random.Random) -> bytes:
        """Fields that are each one of a few, in any zone."""
        parts = (
            "*",
            "0",
            "1",
            "59",
            "23",
            "31",
            "12",
            "7",
            "*/2",
            "*/59",
            "1-5",
            "5-1",
            "1,2",
            "L",
            "1#5",
            "JAN",
            "SUN",
            "FRI#1",
            "29",
            "30",
        )
        line = " ".join(chance.choice(parts) for _ in range(chance.choice((5, 5, 5, 6, 4))))
        return line.encode() + b"|" + chance.choice(_ZONES)

    async def attempt(self, given: bytes) -> str:
        """See whether a manifest would take it; what it takes has due times, or none."""
        line, _, zone = given.decode(errors="replace").partition("|")
        fault = cron_lines.fault(line) or table._zone_fault(zone)
        trigger = model.TimerTrigger(cron=line, timezone=zone, on_missed=model.OnMissed.ALL)
        if fault:
            _refused(trigger)
            return edge.said(fault)
        for at_ms in _AT_MS:
            _check_dues(trigger, at_ms)
        return "taken"


class FieldsEdge(edge.Edge):
    """Header fields of the platform's own, as the gateway and the control API read them on their loops."""

    name = "fields"
    most_bytes = 70_000
    tokens = (b"sync", b"ASYNC", b"90s", b"1.5h", b"31d", b"0ms", b"999999999.999d", b".", b"a" * 36, b"0" * 64,
    b"example.com", b"*.", b"[::1]",
              b"127.0.0.1", b":80", b"http://", b"null", b"fe80::1%eth0", b"::ffff:1.2.3.4", b"\n")  # fmt: skip

    def seeds(self) -> Iterable[bytes]:
        """One good value of each field."""
        chain = calling.Chain(3, "0190b5a0-0000-7000-8000-000000000001", "0190b5a0-0000-7000-8000-000000000002")
        yield b"\n".join(
            (
                b"async",
                b"90s",
                b"a-key",
                lineage.mark(b"secret", chain).encode(),
                b"a.example.com:80",
                b"http://a.example.com",
                b"::1",
            )
        )

    async def attempt(self, given: bytes) -> str:
        """Each line is a field; what each is read as."""
        lines = [each.decode("utf-8", "surrogateescape") for each in given.split(b"\n")]
        kind, delay, key, mark, host, origin, address = (lines + [""] * 7)[:7]
        heard = [_heard(lambda: calling.asked(_present(kind, delay, key)))]
        heard.append(_heard(lambda: lineage.read(b"secret", mark)))
        own = hosts.of("a.example.com,*.b.example.com")
        heard.append(_heard(lambda: hosts.refuse_rebound(host, own)))
        heard.append(_heard(lambda: hosts.refuse_foreign(hosts.host_of(host), own)))
        heard.append(_heard(lambda: hosts.refuse_strange_origin(origin, host)))
        identity.of_address(address)
        identity.of_fields([(line.lower(), line) for line in lines])
        lineage.depth_of(given)
        return " ".join(heard)


def edge_values() -> tuple[str, ...]:
    """Values that nobody would set."""
    return (
        "",
        " ",
        "-1",
        "0",
        "1",
        "true",
        "nan",
        "inf",
        "a,b",
        "../x",
        "/",
        "\u00e9",
        "%",
        "x" * 300,
        "redis://",
        "http://[::1",
        "99999999999999999999",
    )


def _present(kind: str, delay: str, key: str) -> dict[str, str]:
    given = {"faas-invocation-type": kind, "faas-delay": delay, "idempotency-key": key}
    return {name: value for name, value in given.items() if value}


def _heard(call: object) -> str:
    try:
        found = call()  # type: ignore[operator]
    except errors.FaasError as refused:
        msgspec.json.encode(refused.body())
        return type(refused).__name__
    return type(found).__name__


def _refused(trigger: model.TimerTrigger) -> None:
    """What no manifest takes may stand in the catalog all the same: an older platform took it."""
    try:
        schedule.next_due(trigger, _AT_MS[2])
    except errors.BadRequest:
        return


def _check_dues(trigger: model.TimerTrigger, at_ms: int) -> None:
    due = schedule.next_due(trigger, at_ms)
    edge.check(due is None or due > at_ms, "due before it was asked for")
    latest = next(iter(schedule.latest_dues(trigger, at_ms)), None)
    edge.check(latest is None or latest <= at_ms, "due later than it was asked for")
    fired = schedule.to_fire(trigger, at_ms - 3_600_000, at_ms)
    edge.check(fired == sorted(fired) and len(fired) <= schedule.MOST_MISSED + 10, "fires in disorder, or without end")
