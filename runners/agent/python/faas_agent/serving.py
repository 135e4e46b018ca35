"""The way of an attempt inside the sandbox: event in, handler, result out."""

from __future__ import annotations

import atexit
import json
import os
import time
from typing import Any

from . import (
    adapting,
    coroutines,
    environment,
    faults,
    loading,
    logs,
    memory,
    output,
    results,
    retrying,
    signals,
    tracing,
)
from .connection import INVOKE_KIND, Connection, Data, Header, encode_header, parse_invoke, read_header, result_start
from .context import ContextMaker

_decoder: Any = json.JSONDecoder()
_decode, _scan = _decoder.decode, _decoder.scan_once
# Held here: user code may put something else in the place of `time.monotonic_ns`, for a test say.
_now_ns = time.monotonic_ns
_CODE_OF: Any = vars(SystemExit)["code"]
"""Of whatever class a `SystemExit` is: a subclass may have a property of that name."""


class Server:
    """Answers the runner's frames, one at a time, in the main thread."""

    def __init__(self, connection: Connection, out: output.Output, agent_folder: str) -> None:
        self._connection = connection
        self._out = out
        self._agent_folder = agent_folder
        self._log = logs.set_up()
        self._memory = memory.PeakMemory()
        self._loop = coroutines.Loop()
        self._trace = tracing.TraceId()
        self._pid = os.getpid()
        self._network = ""
        self._event: Any = _event
        self._max_result_bytes = 0
        self._termination = signals.Termination(lambda: connection.busy)

    def load(self, header: Header) -> None:
        """Import the handler and tell the runner how that went."""
        begun = _now_ns()
        self._network = str(header.get("network", ""))
        self._max_result_bytes = int(header["max_result_bytes"])
        identity = environment.Identity(header)
        try:
            environment.prepare(header, identity, self._agent_folder)
            handler = loading.load_handler(header["handler"], header["code"])
            adapted = adapting.adapt(handler, header, identity)
        except BaseException as error:  # noqa: BLE001 - whatever user code raises while it is imported is its load error
            self._leave_if_child(error)
            self._load_failed(error, begun)
            return
        self._leave_if_child(None)
        self._handler, self._on_stop = adapted.call, adapted.stop
        self._event = bytes if adapted.takes_bytes else _event
        self._contexts = ContextMaker(self._connection, identity, header.get("buckets") or {})
        output.flush()
        self._connection.send(encode_header({"t": "loaded", **self._spent(begun, "init_us")}))

    def serve(self) -> None:
        """Run attempts until the runner closes the socket (`connection.Closed`)."""
        while not self._termination.requested:
            header, body = self._connection.receive()
            if header[0] == INVOKE_KIND:
                self._invoke(header, body)
            elif self._is_stop(header):
                self._stop()

    def _invoke(self, header: Data, body: Data) -> None:
        begun = _now_ns()
        raw_id, trace, timeout_ms, attempt, depth, client_context = parse_invoke(header)
        self._log.request_id = request_id = raw_id.decode()
        connection = self._connection
        connection.begin_attempt()
        self._trace.set(trace)
        try:
            deadline = begun + timeout_ms * 1_000_000
            event = self._event(body)
            context = self._contexts.make(request_id, attempt, depth, client_context, deadline, trace)
            value = self._handler(event, context)
            # By what it returns: a decorator may have made a plain function of a coroutine's, or the other way round.
            if hasattr(value, "__await__"):
                value = self._loop.run(value)
            result, raw = results.encode(value, self._max_result_bytes)
        except BaseException as error:  # noqa: BLE001 - whatever user code raises is the attempt's result
            self._leave_if_child(error)
            self._failed(request_id, error, begun)
            return
        # A handler may fork, and its child come back here as well.
        if os.getpid() != self._pid:
            self._leave_if_child(None)
        # Before the result: the runner takes what is in the pipe by then for this attempt's log.
        self._out.flush()
        ended = _now_ns()
        start = result_start(raw_id, (ended - begun) // 1_000, self._memory.kib(ended), result, raw)
        connection.end_attempt(start, result)

    def _is_stop(self, data: Data) -> bool:
        """Whether the sandbox is to end. Else what comes between attempts are late answers, to requests torn away."""
        header = read_header(data)
        kind = header.get("t")
        if kind not in ("opened", "done", "stop"):
            raise ValueError(f"an unexpected frame: {kind!r}")
        self._connection.pass_over(header)
        return bool(kind == "stop")

    def _stop(self) -> None:
        """Run what the function wants to be run before its sandbox ends, and end."""
        try:
            if self._on_stop is not None:
                self._on_stop()
        except BaseException as error:  # noqa: BLE001 - nobody waits for it but the log
            self._leave_if_child(error)
            output.say(faults.as_log(error, self._network))
        self._leave_if_child(None)
        output.flush()
        os._exit(0)

    def _failed(self, request_id: str, error: BaseException, begun: int) -> None:
        spent = self._spent(begun, "us")
        error, leaving = _as_exit(error, request_id)
        if leaving:
            # The process ends by `os._exit`, below, which calls none of them; `sys.exit` would.
            atexit._run_exitfuncs()
        output.say(faults.as_log(error, self._network))
        must_go = leaving or not self._out.is_intact()
        header = {"t": "error", "id": request_id, **spent, "exit": must_go, **retrying.wish(error)}
        self._connection.fail_attempt(_error_header(header, error))
        if leaving:
            os._exit(1)

    def _load_failed(self, error: BaseException, begun: int) -> None:
        spent = self._spent(begun, "init_us")
        error, _leaving = _as_exit(error, None)
        output.say(faults.as_log(error, self._network))
        self._connection.send(_error_header({"t": "load_error", **spent}, error))

    def _spent(self, begun: int, name: str) -> dict[str, int]:
        now = _now_ns()
        return {name: (now - begun) // 1_000, "mem_kb": self._memory.kib(now)}

    def _leave_if_child(self, error: Any) -> None:
        """End a process that user code forked and let run back into the agent: it has no result to give."""
        if os.getpid() == self._pid:
            return
        if error is not None and not isinstance(error, SystemExit):
            output.say(faults.as_traceback(error))
        output.flush()
        os._exit(_exit_status(error))


def _event(body: Data) -> Any:
    try:
        text = str(body, "utf-8")
        try:
            value, end = _scan(text, 0)
        except StopIteration:
            end = -1
        # Space around the value, or none at all, is left to the decoder, which takes a second look for it every time.
        return value if end == len(text) else _decode(text)
    except (ValueError, RecursionError) as error:
        raise faults.Fault("Runtime.UnmarshalError", f"Unable to unmarshal input: {error}") from error
    except SystemError as error:  # the decoder looks for its exception in `json`, which may be the user's own
        raise faults.Fault("Runtime.UnmarshalError", "Unable to unmarshal input: it is not JSON") from error


def _as_exit(error: BaseException, request_id: Any) -> tuple[BaseException, bool]:
    """Lambda's error for a `sys.exit`, and whether it was one."""
    if not isinstance(error, SystemExit):
        return error, False
    status = _exit_status(error)
    reason = f"exited with error: exit status {status}" if status else "exited without providing a reason"
    text = f"RequestId: {request_id} Error: Runtime {reason}" if request_id else f"Runtime {reason}"
    return faults.Fault("Runtime.ExitError", text, error), True


def _exit_status(error: Any) -> int:
    if not isinstance(error, SystemExit):
        return 0 if error is None else 1
    code = _CODE_OF.__get__(error)
    if code is None or isinstance(code, int):
        return _low_byte(code or 0)
    output.say(faults.text_of(code) + "\n")
    return 1


def _low_byte(code: int) -> int:
    """What the kernel keeps of an exit status. A number that C has no room for is -1 to Python."""
    return code & 0xFF if -(1 << 63) <= code < 1 << 63 else 0xFF


def _error_header(header: Header, error: BaseException) -> bytes:
    """The header of a frame with its ``error``, whose texts are shortened until it fits."""
    described = faults.describe(error)
    header["error"] = described
    while True:
        try:
            return encode_header(header)
        except ValueError:
            described["message"] = described["message"][: len(described["message"]) // 2]
            described["stack"] = described["stack"][: len(described["stack"]) // 2]
