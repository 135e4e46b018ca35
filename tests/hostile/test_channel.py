"""The runner's end of a sandbox's socket, while the test owns the other end and says whatever it likes."""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import hypothesis
import msgspec
import pytest
from hypothesis import strategies as st

from faas import buckets
from faas.buckets.folder import bucket as folders
from faas.core import ids, model
from faas.core import settings as settings_module
from runners.sandbox import base, channel, output, verdicts
from tests import agent_harness, attempts
from tests.eventually import eventually
from tests.hostile import effort

LIMITS = settings_module.of(max_event_bytes=1000, max_result_bytes=1000)
TIMEOUT_MS = 100
PATIENT_MS = 60_000


class Peer:
    """A host whose sandbox is the test: it has the far end of the socket, and is told when it is doomed.

    One on another machine has passed no pipe, and sends its output as frames.
    """

    def __init__(self, find: Callable[[str], buckets.Bucket | None], *, is_far: bool = False) -> None:
        near, self.far = socket.socketpair()
        reading, self.printing = os.pipe()
        self.is_doomed = False
        if is_far:
            os.close(reading)
        self.channel = channel.Channel(near, None if is_far else reading, self, find, LIMITS.sandboxes)
        self.far.setblocking(False)

    async def why_gone(self, told: verdicts.Exited | None) -> verdicts.Death:
        return verdicts.Exited(1)

    def doom(self) -> None:
        self.is_doomed = True

    def keep_output(self, lines: output.Lines) -> None:
        pass

    async def load(self, timeout_ms: int = TIMEOUT_MS) -> None:
        """Be an agent that loads a function which may write to one bucket and read another."""
        config = model.FunctionConfig(
            runtime="python3",
            handler="app.handler",
            timeout_ms=timeout_ms,
            buckets={"own": model.Access.WRITE, "seen": model.Access.READ},
        )
        revision = model.Revision(function="f", number=1, artifact="0" * 64, config=config, created_at_ms=0)
        loading = asyncio.ensure_future(self.channel.load(revision, "/code"))
        await asyncio.sleep(0)
        self.far.send(frame({"t": "loaded", "init_us": 1, "mem_kb": 1}))
        assert (await loading).error is None

    def invocation(self) -> model.Invocation:
        return model.Invocation(
            id=ids.new_id(),
            function="f",
            revision=1,
            trigger="http",
            mode=model.Mode.SYNC,
            event=b"{}",
            accepted_at_ms=1,
        )

    def run(self) -> tuple[str, asyncio.Future[base.Ran]]:
        """Have one attempt begun; its id and its outcome to come."""
        invocation = self.invocation()
        return invocation.id, attempts.begun(self.channel, invocation)

    def say(self, data: bytes, descriptors: int = 0) -> None:
        """Send what the socket takes, each time with that many descriptors."""
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [self.printing] * descriptors))]
        with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
            self.far.sendmsg([data], rights if descriptors else [])

    def close(self) -> None:
        self.channel.close()
        self.far.close()
        os.close(self.printing)


def frame(header: object, body: bytes = b"") -> bytes:
    """As the agent would send it."""
    return cut(header if isinstance(header, bytes) else msgspec.json.encode(header), body)


def cut(header: bytes, body: bytes) -> bytes:
    return struct.pack(">II", len(header), len(body)) + header + body


def result(invocation_id: str, body: bytes, us: int = 1) -> bytes:
    """The frame of a result."""
    return cut(agent_harness.result_header(invocation_id, us), body)


COUNTS = st.one_of(st.integers(-2, 3), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text())
TEXTS = st.one_of(
    st.sampled_from(["own", "seen", "other", "a/b", "../x", "/etc/passwd", "", "r", "w", "\0"]), st.text()
)
FIELDS = st.dictionaries(
    st.sampled_from(["id", "n", "bucket", "key", "mode", "us", "mem_kb", "error", "limit", "prefix", "after", "bytes"]),
    st.one_of(COUNTS, TEXTS, st.booleans(), st.none(), st.lists(st.integers(), max_size=2)),
)
REQUESTS = st.fixed_dictionaries(
    {
        "t": st.sampled_from(["open", "commit", "discard", "list", "delete"]),
        "n": st.integers(0, 3),
        "bucket": st.sampled_from(["own", "seen", "other"]),
        "key": TEXTS,
        "mode": st.sampled_from(["r", "w", "x"]),
    }
)
PIECES = st.fixed_dictionaries(
    {
        "t": st.sampled_from(["read", "write"]),
        "n": st.integers(0, 3),
        "of": st.integers(0, 3),
        "offset": st.one_of(st.integers(0, 9), st.integers()),
        "size": st.integers(0, 1 << 60),
    }
)
KINDS = st.sampled_from(
    [
        *("ready", "loaded", "load_error", "result", "error", "open", "commit", "discard", "list", "delete", "invoke"),
        *("read", "write", "placed", "exited", "code", "", 7),
    ]
)
OUTPUT = st.one_of(
    st.builds(
        struct.Struct(">BIQ").pack, st.just(3), st.sampled_from([0, 1, 2, 3, 2**32 - 1]), st.integers(0, 2**64 - 1)
    ),
    st.binary(max_size=14).map(lambda rest: b"\x03" + rest),
)
RESULTS = st.builds(
    lambda fixed, id: fixed + id,
    st.one_of(
        st.builds(
            agent_harness.RESULT.pack,
            st.just(2),
            st.integers(0, 255),
            st.integers(0, 2**32 - 1),
            st.integers(0, 2**64 - 1),
        ),
        st.binary(max_size=14).map(lambda rest: b"\x02" + rest),
    ),
    st.binary(max_size=40),
)
HEADERS = st.one_of(
    REQUESTS,
    PIECES,
    RESULTS,
    OUTPUT,
    st.builds(lambda kind, rest: {"t": kind, **rest}, KINDS, FIELDS),
    st.none(),
    TEXTS,
)
PREFIXES = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)).map(lambda sizes: struct.pack(">II", *sizes))
SAID = st.lists(
    st.tuples(
        st.one_of(st.builds(frame, HEADERS, st.binary(max_size=40)), PREFIXES, st.binary(max_size=100)),
        st.sampled_from([0, 0, 0, 1, 3]),
    ),
    max_size=8,
)


@pytest.fixture
async def find(tmp_path: Path) -> AsyncIterator[Callable[[str], buckets.Bucket | None]]:
    made = {name: folders.BucketFolder(name, tmp_path / name) for name in ("own", "seen", "other")}
    for bucket in made.values():
        bucket.root.mkdir()
        (bucket.root / "secret").write_text("x")
    yield made.get


@pytest.mark.parametrize("is_far", [False, True])
@effort.bounded(150)
@hypothesis.given(said=SAID, hangs_up=st.booleans(), cut=st.integers(0, 200))
async def test_whatever_is_said_the_attempt_ends_and_nothing_is_left_open(
    find: Callable[[str], buckets.Bucket | None], said: list[tuple[bytes, int]], hangs_up: bool, cut: int, is_far: bool
) -> None:
    before = await eventually(_open_files)
    peer = Peer(find, is_far=is_far)
    await peer.load()
    _, outcome = peer.run()
    for data, descriptors in said:
        peer.say(data if cut > len(data) else data[:cut], descriptors)
    if hangs_up:
        peer.far.shutdown(socket.SHUT_RDWR)
    ran = await asyncio.wait_for(outcome, 30)
    assert ran.status in (model.Status.ERROR, model.Status.TIMEOUT)
    assert not ran.reusable
    assert peer.is_doomed
    peer.close()
    await eventually(lambda: _open_files() <= before, within=30)


@pytest.mark.parametrize("is_far", [False, True])
async def test_requests_without_end_are_served_one_by_one_and_held_nowhere(
    find: Callable[[str], buckets.Bucket | None], is_far: bool
) -> None:
    before = _open_files()
    peer = Peer(find, is_far=is_far)
    await peer.load()
    _, outcome = peer.run()
    flood = frame({"t": "open", "n": 1, "bucket": "seen", "key": "secret", "mode": "r"}) * 50
    most = 0
    while not outcome.done():
        peer.say(flood)
        most = max(most, _open_files())
        await asyncio.sleep(0)
    assert (await outcome).status is model.Status.TIMEOUT
    assert most <= before + 16  # the socket's own, a request's at a time; those on their way are the kernel's
    peer.close()
    await eventually(lambda: _open_files() <= before, within=30)


async def test_an_answer_to_another_invocation_is_taken_by_nobody(
    find: Callable[[str], buckets.Bucket | None],
) -> None:
    one, other = Peer(find), Peer(find)
    await one.load()
    await other.load(PATIENT_MS)
    _, outcome = one.run()
    invocation_id, others = other.run()
    one.say(result(invocation_id, b'"forged"'))
    assert (await outcome).status is model.Status.ERROR
    assert not others.done()
    other.say(result(invocation_id, b'"true"'))
    assert (await others).body == b'"true"'
    one.close()
    other.close()


@pytest.mark.parametrize(
    "more",
    [
        "result",
        {"t": "error", "us": 1, "mem_kb": 1, "error": {"type": "E", "message": "m", "stack": []}},
        {"t": "open", "n": 1, "bucket": "own", "key": "k", "mode": "w"},
        {"t": "loaded", "init_us": 1, "mem_kb": 1},
        None,
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("is_far", [False, True])
async def test_whatever_comes_after_a_result_retires_the_sandbox(
    find: Callable[[str], buckets.Bucket | None], more: dict[str, object] | str | None, at_once: bool, is_far: bool
) -> None:
    peer = Peer(find, is_far=is_far)
    await peer.load(PATIENT_MS)
    invocation_id, outcome = peer.run()
    forged = result(invocation_id, b"1")
    if isinstance(more, dict):
        after = frame({"id": invocation_id, **more})
    else:  # None: the beginning of a frame, which would have the true result taken for its rest
        # From another machine the beginning of a frame may come that is output: its kind comes after eight bytes.
        begun = frame({"t": "open"})[:9] if is_far else b"\0\0"
        after = result(invocation_id, b"") if more == "result" else begun
    peer.say(forged + after if at_once else forged)
    assert (await outcome).body == b"1"
    if not at_once:
        assert not peer.is_doomed
        peer.say(after)
    await eventually(lambda: peer.is_doomed, within=30)
    peer.close()


async def test_what_follows_a_result_is_no_part_of_the_attempt_that_its_end_starts(
    find: Callable[[str], buckets.Bucket | None],
) -> None:
    peer = Peer(find)
    await peer.load(PATIENT_MS)
    second = peer.invocation()
    heard: list[base.Ran | base.SandboxLost] = []

    def then(outcome: base.Ran | base.SandboxLost) -> None:
        heard.append(outcome)
        if len(heard) == 1:
            peer.channel.run(second, then)

    first = peer.invocation()
    peer.channel.run(first, then)
    peer.say(result(first.id, b"1") + result(second.id, b"1"))
    await eventually(lambda: len(heard) == 2, within=30)
    assert isinstance(heard[0], base.Ran) and heard[0].body == b"1"
    assert isinstance(heard[1], base.SandboxLost)
    assert peer.is_doomed
    peer.close()


async def test_a_sandbox_elsewhere_may_print_at_any_time_and_only_so_much(
    find: Callable[[str], buckets.Bucket | None],
) -> None:
    peer = Peer(find, is_far=True)
    await peer.load(PATIENT_MS)
    peer.say(printed(1, b"between\n")[:20])
    await asyncio.sleep(0)
    peer.say(printed(1, b"between\n")[20:])
    invocation_id, outcome = peer.run()
    peer.say(printed(1, b"late\n") + printed(2, b"now\n") + result(invocation_id, b"1"))
    ran = await outcome
    assert [line.text for line in ran.logs] == ["now"]
    _, outcome = peer.run()
    for _ in range(8):
        peer.say(printed(3, b"x" * 60_000))
        await asyncio.sleep(0)
    ran = await outcome
    assert ran.error is not None and "more output than is kept" in ran.error.message
    assert peer.is_doomed
    peer.close()


@pytest.mark.parametrize(
    "said", [{"t": "placed"}, {"t": "exited", "status": 0}, {"t": "exited", "status": 256}, "output"], ids=str
)
async def test_a_sandbox_of_this_host_says_nothing_of_what_one_elsewhere_does(
    find: Callable[[str], buckets.Bucket | None], said: dict[str, object] | str
) -> None:
    peer = Peer(find)
    await peer.load(PATIENT_MS)
    _, outcome = peer.run()
    peer.say(printed(2, b"x") if isinstance(said, str) else frame(said))
    ran = await outcome
    assert ran.error is not None and ran.error.type == "Runtime.ProtocolError"
    peer.close()


def printed(number: int, text: bytes) -> bytes:
    """A frame of output."""
    return cut(struct.pack(">BIQ", 3, number, 0), text)


async def test_a_function_cannot_bill_more_time_than_has_passed(
    find: Callable[[str], buckets.Bucket | None],
) -> None:
    peer = Peer(find)
    await peer.load(PATIENT_MS)
    invocation_id, outcome = peer.run()
    peer.say(result(invocation_id, b"1", us=1 << 52))
    assert (await outcome).duration_us < 60_000_000
    peer.close()


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))
