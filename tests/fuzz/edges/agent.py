"""The agent's end of the socket: what comes is an attempt, or the agent ends; nothing gets stuck or grows."""

from __future__ import annotations

import json
import random
import socket
import struct
import sys
from collections.abc import Iterable
from typing import Any

from tests import agent_harness
from tests.fuzz import edge, trees

_ID = b"0190b5a0-0000-7000-8000-000000000001"
_ANSWERS = (
    {"t": "opened", "n": 1},
    {"t": "done", "n": 1},
    {"t": "opened", "n": 7, "error": "NotFound", "message": "m"},
)
_MOST_SENT = 150_000
_MOST_CLAIMED = 8 << 20


class AgentEdge(edge.Edge):
    """`faas_agent`'s server in this process, over a socket of which the input is all that comes.

    The runner is trusted, and what reaches the agent is an event that anybody sent, inside of frames that the runner
    made. A frame that it does not make ends the agent by `Closed` or a ValueError, which the sandbox's log tells.
    """

    name = "agent"
    most_bytes = 60_000
    made_anew = 0.6
    owns_process = True
    tokens = (struct.pack(">II", 0, 0), agent_harness.invoke_header(), b"\x01", b"\xff" * 4, _ID, b"{}", b"null",
    *(json.dumps(each).encode() for each in _ANSWERS))  # fmt: skip

    async def open(self, around: edge.Around) -> None:
        """Import the agent as a sandbox does, and make one server that has loaded a function."""
        sys.path.insert(0, str(agent_harness.AGENT))
        from faas_agent import connection, context, output, serving

        output.say = lambda _text: None
        self._connections, self._contexts = connection, context
        self._ends = socket.socketpair()
        self._server = serving.Server(connection.Connection(self._ends[0]), _Out(), "")
        self._server._max_result_bytes = 20_000
        self._server._handler = _handler
        self._identity = _Identity()

    async def close(self) -> None:
        """Forget where the agent was found."""
        sys.path.remove(str(agent_harness.AGENT))
        for each in self._ends:
            each.close()

    def seeds(self) -> Iterable[bytes]:
        """Attempts whose events are of each kind, one after the other."""
        for body in (b"{}", b'{"a": [1, "\\ud800"]}', b" 1 ", b"", b"\xff"):
            yield _framed(agent_harness.invoke_header(), body) * 2
        yield _framed(agent_harness.invoke_header(client_context='{"client": {}, "custom": 1}'), b"1")
        yield _framed(agent_harness.invoke_header(), b'"open"') + _framed(json.dumps(_ANSWERS[0]).encode()) * 2

    def make(self, chance: random.Random) -> bytes:
        """Attempts and answers, in any order."""
        return b"".join(_frame(chance) for _ in range(chance.randint(1, 4)))[: self.most_bytes]

    async def attempt(self, given: bytes) -> str:
        """Let it be all that a runner says."""
        if _claims(given) > _MOST_CLAIMED:
            return "claims more than any runner sends"
        near, far = socket.socketpair()
        connection = self._connections.Connection(near)
        self._server._connection = connection
        self._server._contexts = self._contexts.ContextMaker(connection, self._identity, {"own": "write"})
        far.setblocking(False)
        try:
            far.send(given[:_MOST_SENT])
            far.shutdown(socket.SHUT_WR)
            self._server.serve()
        except (self._connections.Closed, ConnectionError) as closed:
            return f"{type(closed).__name__} {edge.said(closed)} {_answered(far)}"
        except (ValueError, struct.error) as ended:
            return f"{type(ended).__name__} {edge.said(ended)}"
        finally:
            near.close()
            far.close()
        raise edge.Broken("the agent went on with nobody to serve")


def _claims(given: bytes) -> int:
    """The most that a frame says of its length. The runner is believed there: what it says is allocated at once."""
    most = at = 0
    while at + 8 <= len(given):
        header, body = struct.unpack_from(">II", given, at)
        most, at = max(most, header + body), at + 8 + header + body
    return most


class _Out:
    """What a sandbox prints, here nothing."""

    def flush(self) -> None:
        pass

    def is_intact(self) -> bool:
        return True


class _Identity:
    function, version, arn, memory_mb, log_group, log_stream = "f", "1", "arn", "128", "group", "stream"


def _handler(event: Any, context: Any) -> Any:
    if event == "open":
        return context.bucket("own").open("key", "wb").close()
    context.get_remaining_time_in_millis()
    return [event, context.aws_request_id, context.attempt, context.depth]


def _framed(header: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">II", len(header), len(body)) + header + body


def _frame(chance: random.Random) -> bytes:
    if chance.random() < 0.3:
        made = trees.changed(chance, chance.choice(_ANSWERS), ("t", "n", "opened", "done", "error"))
        return _framed(json.dumps(made).encode("utf-8", "surrogatepass"), chance.choice((b"", b"x")))
    fields = {
        "timeout_ms": chance.choice((0, 30_000, 2**32 - 1)), "attempt": chance.choice((0, 1, 2**32 - 1)),
        "depth": chance.choice((0, 2**32 - 1)),
        "client_context": chance.choice((None, "{}", "1", "{", "x" * 5_000, '{"client": 1}')),
        "id": chance.choice((_ID.decode(), "", "x" * 500)),
    }  # fmt: skip
    event = chance.choice(
        (b"{}", b'"open"', b"[" * 3_000, json.dumps(trees.changed(chance, {"a": [1]})).encode("utf-8", "surrogatepass"))
    )
    header = agent_harness.invoke_header(**fields)  # type: ignore[arg-type]
    if chance.random() < 0.2:
        at = chance.randrange(len(header))
        header = header[:at] + bytes([chance.randrange(256)]) + header[at + 1 :]
    return _framed(header, event)


def _answered(far: socket.socket) -> int:
    """How many attempts were answered, as far as that is short."""
    try:
        return min(len(far.recv(1 << 16)) // 60, 4)
    except OSError:
        return 0
