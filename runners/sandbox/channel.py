"""The runner's end of one sandbox's socket: loads a revision, runs attempts, and survives whatever comes back.

The life of a channel::

    quiet ──load / invoke──► awaiting ──answer──► quiet
      │                        │ timeout, broken protocol, end of file
      └──────end of file───────┴──────────────────────────────► over

On one host the socket is a Unix one, whose agent has passed its output's pipe, and takes objects as descriptors. To a
sandbox on another machine it is a connection of TCP: output and code go as frames (`far_end`), objects in pieces.

An attempt costs one send, one read and two looks at the pipe of the output. The timer is not set and cancelled for each
attempt: it is left to fire, and looks then whether the attempt of that moment is due. Who waits for an answer hears of
it when all that came with it has been read, and, where the sandbox is doomed by it, after that: what follows an answer
is never taken for a part of the next attempt.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Coroutine
from typing import Any, BinaryIO, Protocol

import msgspec

from faas.core import clock, events, groups, model
from faas.core.calls import retry, tracing
from faas.core.http import replies
from faas.core.values import json_text, large_json
from runners.sandbox import base, far_end, framed_output, frames, objects, output, verdicts, wire

_log = logging.getLogger(__name__)

# A name of this module is found in a tenth of the time; so it is in other modules on the path of every call.
_OK = model.Status.OK

_LOOKED_THROUGH_WITHIN_NS = 60_000_000_000


class Holder(Protocol):
    """What the channel needs of the sandbox around it."""

    async def why_gone(self, told: verdicts.Exited | None) -> verdicts.Death:
        """Why the socket has closed. ``told`` is how the agent ended, by what the sandbox itself said last."""

    def doom(self) -> None:
        """The sandbox's state is in doubt: nothing more may run in it. Called once; it must not block."""

    def keep_output(self, lines: output.Lines) -> None:
        """Take what was printed between attempts."""


def _nothing() -> None:
    pass


class _Awaited:
    """What the runner is waiting for: the answer to a load (``invocation_id`` is None) or to an attempt."""

    __slots__ = ("deadline_ns", "invocation_id", "is_request", "started_ns", "then", "timeout_ms")

    def __init__(
        self, then: Callable[[Any], None], invocation_id: str | None, timeout_ms: int, *, is_request: bool = False
    ) -> None:
        self.then = then
        self.invocation_id = invocation_id
        self.is_request = is_request
        """The answer is sent as an HTTP response."""
        self.timeout_ms = timeout_ms
        self.started_ns = clock.steady_ns()
        self.deadline_ns = self.started_ns + timeout_ms * 1_000_000

    def elapsed_us(self) -> int:
        return (clock.steady_ns() - self.started_ns) // 1000

    @property
    def who(self) -> str:
        return verdicts.request(self.invocation_id) if self.invocation_id is not None else ""


class Channel:
    """Owns the socket and the reading end of the output. Everything happens on the event loop that made it."""

    def __init__(
        self,
        sock: socket.socket,
        pipe: int | None,
        host: Holder,
        find_bucket: objects.Find,
        sandboxes: groups.Sandboxes,
        on_quiet: Callable[[], None] = _nothing,
    ) -> None:
        """A sandbox that has passed no pipe is on another machine.

        ``on_quiet`` is called when what was awaited is told of, and nothing new was asked at that.
        """
        self._loop = asyncio.get_running_loop()
        self._wire = wire.Wire(sock, frames.most_body_bytes(sandboxes, in_pieces=pipe is None), self)
        self._host = host
        self._on_quiet = on_quiet
        self._sandboxes = sandboxes
        self._objects = objects.Objects(find_bucket, sandboxes.max_file_mb << 20, in_pieces=pipe is None)
        self._output: output.Output | framed_output.FramedOutput
        self._far: far_end.FarEnd | None = None
        if pipe is None:
            self._output = framed_output.FramedOutput(self._loop, sandboxes.max_log_bytes, host.keep_output)
            self._far = far_end.FarEnd(self._output)
        else:
            self._output = output.Output(self._loop, pipe, sandboxes.max_log_bytes, host.keep_output)
        self._awaited: _Awaited | None = None
        self._over: tuple[Callable[[Any], None], base.Ran | base.Loaded] | None = None
        self._is_telling = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ns = 0
        self._timeout_ms = 0
        self._memory_mb = 0
        self._peak_mb = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_over(self) -> bool:
        """Whether nothing can be sent or heard any more."""
        return self._wire.has_ended

    @property
    def objects_form(self) -> str:
        """How objects come and go."""
        return frames.DESCRIPTOR if self._far is None else frames.STREAM

    @property
    def is_busy(self) -> bool:
        """Whether a load or an attempt is under way."""
        return self._awaited is not None

    async def load(self, revision: model.Revision, code: str) -> base.Loaded:
        """Have the handler imported from ``code``, a folder as the sandbox sees it. Raises `base.SandboxLost`."""
        config = revision.config
        self._timeout_ms = config.timeout_ms
        self._memory_mb = config.memory_mb
        self._objects.declare(config.buckets)
        future: asyncio.Future[base.Loaded] = self._loop.create_future()

        def then(outcome: base.Loaded | base.SandboxLost) -> None:
            if future.done():  # whoever asked has stopped waiting
                return
            if isinstance(outcome, base.SandboxLost):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

        try:
            head = frames.head(self._load_frame(revision, code), 0)
        except ValueError as error:
            text = f"handler and environment take more than {frames.MAX_LOAD_HEADER_BYTES} bytes: {error}"
            failure = model.Failure("Runtime.InvalidEnvironment", text)
            return base.Loaded(init_us=0, error=failure, status=model.Status.INIT_ERROR)
        self._await(_Awaited(then, None, max(self._sandboxes.init_timeout_ms, config.timeout_ms)), head, b"")
        return await future

    async def place(self, code: BinaryIO, folder: str) -> str:
        """Have a bundle unpacked into a folder of a sandbox on another machine; the folder.

        Raises `base.SandboxLost`. ``code`` is read by threads, and closed.
        """
        if self._far is None or self.is_over:
            code.close()
            raise base.SandboxLost("the sandbox takes no code over its connection, or has gone")
        await self._far.place(self._wire, code, folder)
        return folder

    def run(self, invocation: model.Invocation, then: base.Then) -> None:
        """See `base.Sandbox.run`."""
        try:
            head = frames.invoke(invocation, self._timeout_ms, tracing.told(invocation))
        except ValueError as error:
            failure = model.Failure("Runtime.InvalidClientContext", f"the client context is too large: {error}")
            ran = base.Ran(status=model.Status.REJECTED, duration_us=0, memory_peak_mb=0, error=failure)
            # Never before this returns: the caller has not noted yet that an attempt runs.
            self._loop.call_soon(then, ran)
            return
        self._objects.begin_attempt(invocation)
        # Only for these is a large result also looked at as a response; see `_look_through`.
        is_request = invocation.trigger == replies.TRIGGER
        self._await(_Awaited(then, invocation.id, self._timeout_ms, is_request=is_request), head, invocation.event)

    def show(self, live: output.Live) -> None:
        """See `base.Sandbox.show`."""
        self._output.show(live)

    def stop(self) -> None:
        """Ask an idle agent to end by itself: then the host is doomed. Nothing happens when something runs."""
        if self._awaited is None and not self.is_over:
            with contextlib.suppress(OSError):
                self._wire.send(frames.head(frames.Stop(), 0), b"")

    def close(self) -> None:
        """Let go of socket and pipe; what is awaited fails with `base.SandboxLost`. Safe to call twice."""
        self._end()
        awaited, self._awaited = self._awaited, None
        self._objects.end_attempt()
        self._output.close()
        self._wire.close()
        if awaited is not None:
            awaited.then(base.SandboxLost("the sandbox was closed"))

    def _load_frame(self, revision: model.Revision, code: str) -> frames.Load:
        config = revision.config
        return frames.Load(
            code=code,
            handler=config.handler,
            env=config.env,
            function=revision.function,
            version=str(revision.number),
            memory_mb=config.memory_mb,
            timeout_ms=config.timeout_ms,
            region=self._sandboxes.region,
            account=events.ACCOUNT_ID,
            max_result_bytes=self._sandboxes.max_result_bytes,
            buckets={name: access.value for name, access in config.buckets.items()},
            network=config.network.value,
            limits=frames.Sizes(
                self._sandboxes.max_file_mb << 20, framed_output.most_bytes(self._sandboxes.max_log_bytes)
            ),
            objects=self.objects_form,
            style=config.style.value,
            initializer=config.initializer,
            pre_stop=config.pre_stop,
        )

    def _await(self, awaited: _Awaited, head: bytes, body: bytes) -> None:
        if self._awaited is not None:
            raise RuntimeError("a sandbox runs one attempt at a time")
        if self.is_over:
            self._loop.call_soon(awaited.then, base.SandboxLost("the sandbox has gone"))
            return
        # Who hears of an end may begin the next attempt at that, as nearly all do while calls stand in line.
        self._output.begin(at_once=self._is_telling)
        self._awaited = awaited
        try:
            self._wire.send(head, body)
        except OSError:
            self._awaited = None
            self._doom()
            lost = base.SandboxLost("the sandbox went before it got the invocation")
            self._loop.call_soon(awaited.then, lost)
            return
        # One that fires earlier than this attempt is due finds out then, and is set anew.
        if self._timer is None or self._timer_ns > awaited.deadline_ns:
            self._set_timer(awaited.deadline_ns)

    # -- what comes

    def on_part(self) -> None:
        """An agent says nothing, not even a byte, while nothing is asked of it: an answer before it was not its own."""
        if self._awaited is None and (self._far is None or not self._far.may_begin_so(self._wire)):
            raise frames.BrokenProtocol("a frame that nobody asked for")

    def on_frame(self, header: frames.Received, body: bytes) -> None:
        """An answer to what is awaited, or a request of the running attempt; anything else breaks the protocol."""
        awaited = self._awaited
        if awaited is not None and isinstance(header, frames.Result) and header.id == awaited.invocation_id:
            self._on_result(awaited, header, body)
        elif awaited is None or isinstance(header, frames.FarEnd):
            if self._far is None:
                raise frames.BrokenProtocol("a frame that nobody asked for")
            self._far.hear(header, body)
        elif awaited.invocation_id is None:
            self._on_load_answer(awaited, header)
        elif isinstance(header, frames.Error) and header.id == awaited.invocation_id:
            self._on_error(awaited, header)
        elif isinstance(header, frames.Request):
            self._serve(header, body)
        else:
            raise frames.BrokenProtocol("an answer to what was not asked")

    def _on_load_answer(self, awaited: _Awaited, header: frames.Received) -> None:
        if not isinstance(header, frames.LoadDone | frames.LoadFailed):
            raise frames.BrokenProtocol("an answer to what was not asked")
        failed = isinstance(header, frames.LoadFailed)
        self._over = (
            awaited.then,
            self._loaded(
                min(header.init_us, awaited.elapsed_us()),
                verdicts.failure(header.error) if isinstance(header, frames.LoadFailed) else None,
                model.Status.INIT_ERROR if failed else model.Status.OK,
            ),
        )

    def _on_result(self, awaited: _Awaited, header: frames.Result, body: bytes) -> None:
        limit = self._sandboxes.max_result_bytes
        if len(body) > limit:
            ending = verdicts.Ending(model.Status.ERROR, verdicts.too_large(len(body), limit))
            ran = self._ended_badly(awaited, header.us, header.mem_kb, ending)
        elif not header.bytes and len(body) > large_json.LARGE_BYTES:
            # It came in time, and what follows it waits.
            self._wire.pause()
            elapsed_us = awaited.elapsed_us()
            awaited.deadline_ns += _LOOKED_THROUGH_WITHIN_NS
            self._spawn(self._look_through(awaited, header, body, elapsed_us))
            return
        elif header.bytes or json_text.is_json(body):
            ran = self._judged(awaited, header, body, passes=True, too_deep=False)
        else:
            ran = self._judged_of_python(awaited, header, body)
        self._over = awaited.then, ran

    def _judged_of_python(self, awaited: _Awaited, header: frames.Result, body: bytes) -> base.Ran:
        """What a small result is that is no JSON, but may be Python's. Raises `frames.BrokenProtocol`."""
        passes = json_text.is_result(body)
        ran = self._judged(awaited, header, body, passes, not passes and json_text.is_too_deep(body))
        return msgspec.structs.replace(ran, remarks=replies.all_remarks(body)) if awaited.is_request else ran

    async def _look_through(self, awaited: _Awaited, header: frames.Result, body: bytes, elapsed_us: int) -> None:
        """Have a large result looked through apart; the next attempt begins after that."""
        passes = await large_json.apart(large_json.is_result, body)
        too_deep = not passes and await large_json.apart(large_json.is_too_deep, body)
        remarks: tuple[str, ...] = ()
        if passes and awaited.is_request:
            remarks = await large_json.apart(replies.all_remarks, body)
        # The thread could not be stopped, and whoever closed the channel has told of the end already.
        if self._awaited is not awaited:  # closed meanwhile
            return
        in_time = msgspec.structs.replace(header, us=min(header.us, elapsed_us))
        try:
            ran = self._judged(awaited, in_time, body, passes, too_deep)
        except frames.BrokenProtocol as error:
            self.on_broken(str(error))
            return
        self._over = awaited.then, msgspec.structs.replace(ran, remarks=remarks)
        self._wire.resume()

    def _judged(self, awaited: _Awaited, header: frames.Result, body: bytes, passes: bool, too_deep: bool) -> base.Ran:
        """What a result is that was looked through. Raises `frames.BrokenProtocol`."""
        if too_deep:
            ending = verdicts.Ending(model.Status.ERROR, verdicts.too_deep(json_text.MOST_NESTED))
            return self._ended_badly(awaited, header.us, header.mem_kb, ending)
        if not passes:
            raise frames.BrokenProtocol("a result that is not JSON")
        logs, cut = self._end_attempt(header.mem_kb)
        return base.Ran(
            status=_OK,
            duration_us=min(header.us, awaited.elapsed_us()),
            memory_peak_mb=self._peak_mb,
            body=body,
            is_bytes=header.bytes,
            logs=logs,
            logs_cut=cut,
        )

    def _on_error(self, awaited: _Awaited, header: frames.Error) -> None:
        ending = verdicts.Ending(model.Status.ERROR, verdicts.failure(header.error))
        ran = self._ended_badly(
            awaited, header.us, header.mem_kb, ending, reusable=not header.exit, wish=verdicts.wish(header)
        )
        self._over = awaited.then, ran

    def on_taken(self) -> None:
        """All that has arrived is read: tell of the answer that was in it."""
        if self._over is not None:
            (then, outcome), self._over = self._over, None
            self._is_telling = True
            try:
                then(outcome)
            finally:
                self._is_telling = False
            if self._awaited is None:
                self._on_quiet()

    # -- endings

    def _end_attempt(self, mem_kb: int) -> tuple[output.Lines, bool]:
        self._awaited = None
        self._objects.end_attempt()
        # The sandbox says how much it used, and could not have used more than it may.
        # A part of a megabyte counts as a whole one.
        self._peak_mb = min(-(-mem_kb // 1024), self._memory_mb)
        return self._output.take()

    def _ended_badly(
        self,
        awaited: _Awaited,
        us: int,
        mem_kb: int,
        ending: verdicts.Ending,
        *,
        reusable: bool = True,
        wish: retry.Wish | None = None,
    ) -> base.Ran:
        logs, cut = self._end_attempt(mem_kb)
        return base.Ran(
            status=ending.status,
            duration_us=min(us, awaited.elapsed_us()),
            memory_peak_mb=self._peak_mb,
            error=ending.error,
            logs=logs,
            logs_cut=cut,
            reusable=reusable,
            wish=wish,
        )

    def _loaded(self, init_us: int, error: model.Failure | None, status: model.Status) -> base.Loaded:
        self._awaited = None
        logs, cut = self._output.take()
        if error is None:
            self._output.put_first(logs)
        return base.Loaded(init_us=init_us, error=error, status=status, logs=logs, logs_cut=cut)

    def _end_without_answer(self, awaited: _Awaited, ending: verdicts.Ending, us: int) -> None:
        """End the attempt (or load), and the sandbox with it."""
        outcome: base.Ran | base.Loaded
        if awaited.invocation_id is None:
            # A load that ran out of memory or time says so by its status; all else is a failing import.
            status = model.Status.INIT_ERROR if ending.status is model.Status.ERROR else ending.status
            outcome = self._loaded(us, ending.error, status)
        else:
            peak_mb = self._memory_mb if ending.status is model.Status.OOM else self._peak_mb
            outcome = self._ended_badly(awaited, us, peak_mb * 1024, ending, reusable=False)
        self._host.doom()
        awaited.then(outcome)

    def on_broken(self, reason: str) -> None:
        """Only user code writes what the agent does not: it costs the attempt, and the sandbox."""
        self._end()
        awaited = self._awaited
        if awaited is None:
            self._host.doom()
            return
        ending = verdicts.broken(f"the function broke the agent's protocol: {reason}", awaited.who)
        self._end_without_answer(awaited, ending, awaited.elapsed_us())

    def on_gone(self) -> None:
        """The process has ended, or user code closed the socket."""
        self._end()
        if self._awaited is None:
            self._host.doom()
        else:
            self._spawn(self._explain(self._awaited, self._awaited.elapsed_us()))

    async def _explain(self, awaited: _Awaited, us: int) -> None:
        found = await self._host.why_gone(self._far.exited if self._far is not None else None)
        if self._awaited is not awaited:  # closed meanwhile
            return
        if isinstance(found, verdicts.Vanished):
            self._awaited = None
            self._host.doom()
            awaited.then(base.SandboxLost(f"the sandbox went away: {found.reason}"))
        else:
            self._end_without_answer(awaited, verdicts.of_death(found, awaited.who, self._memory_mb), us)

    # -- time

    def _set_timer(self, at_ns: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_ns = at_ns
        self._timer = self._loop.call_later(max(0, at_ns - clock.steady_ns()) / 1e9, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        awaited = self._awaited
        if awaited is None or self.is_over:
            return
        if awaited.deadline_ns <= clock.steady_ns():
            self._wire.read()  # an answer that is there already came in time, if the loop was late
            if self._awaited is not awaited or self.is_over:
                return
        # One that is large is looked through in a time of its own.
        if awaited.deadline_ns > clock.steady_ns():
            self._set_timer(awaited.deadline_ns)
        else:
            self._on_timeout(awaited)

    def _on_timeout(self, awaited: _Awaited) -> None:
        self._end()
        what = "Task" if awaited.invocation_id is not None else "Init"
        ending = verdicts.timed_out(awaited.timeout_ms, awaited.who, what)
        self._end_without_answer(awaited, ending, awaited.elapsed_us())

    # -- buckets

    def _serve(self, request: frames.Request, body: bytes) -> None:
        """Read nothing more until the request is answered, so that a sandbox can only ask as fast as it is served."""
        self._wire.pause()
        self._spawn(self._answer(request, body))

    async def _answer(self, request: frames.Request, body: bytes) -> None:
        answer = await self._objects.serve(request, body)
        if answer is not None:
            try:
                await self._wire.deliver(frames.head(answer.header, len(answer.body)), answer.body, answer.descriptor)
            except OSError as error:  # the peer has gone: reading on finds out why
                _log.debug("answer_undelivered", extra={"error": str(error)})
            finally:
                answer.let_go()
        self._wire.resume()

    # -- the end

    def _doom(self) -> None:
        self._end()
        self._host.doom()

    def _end(self) -> None:
        # The descriptor stays open until `close`: its number must not be another socket's while tasks here still hold
        # it.
        self._wire.end()
        if self._far is not None:
            self._far.end()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
