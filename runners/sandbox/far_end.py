"""What a channel has to do with a sandbox on another machine besides its agent: output, code, and how the agent ended.

There the agent has a process before it, which says all this in frames; the agent itself speaks as it does on this host.
"""

from __future__ import annotations

import asyncio
from typing import BinaryIO

from runners.sandbox import base, framed_output, frames, verdicts, wire

PLACED_WITHIN_S = 60.0
"""How long code may take until it is in its folder there."""


class FarEnd:
    """A sandbox on another machine, as its channel hears it."""

    def __init__(self, printed: framed_output.FramedOutput) -> None:
        self.exited: verdicts.Exited | None = None
        """How the agent ended, if the sandbox said so."""
        self._printed = printed
        self._placing: asyncio.Future[frames.Placed] | None = None

    def may_begin_so(self, link: wire.Wire) -> bool:
        """Whether a part of a frame has come that may be one of this end's, while nothing is asked of the agent."""
        return self._placing is not None or link.may_be_output

    def hear(self, header: frames.Received, body: bytes) -> None:
        """Take one of its frames. Raises `frames.BrokenProtocol` for what it never says."""
        if isinstance(header, frames.Output):
            self._printed.add(header, body)
        elif isinstance(header, frames.Exited):
            self.exited = verdicts.Exited(header.status)
        elif isinstance(header, frames.Placed) and self._placing is not None and not self._placing.done():
            self._placing.set_result(header)
        else:
            raise frames.BrokenProtocol("a frame that nobody asked for")

    async def place(self, link: wire.Wire, code: BinaryIO, folder: str) -> None:
        """Send a bundle, which is unpacked into a folder there, as fast as it is taken. Raises `base.SandboxLost`.

        ``code`` is read by threads, and closed.
        """
        self._placing = placing = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(PLACED_WITHIN_S):
                with code:
                    await _send(link, code, folder)
                placed = await placing
        except OSError as error:
            text = f"the code could not be sent to the sandbox: {error.strerror or 'it took too long'}"
            raise base.SandboxLost(text) from error
        finally:
            self._placing = None
            # asyncio would log an error that nobody has looked at.
            if placing.done() and not placing.cancelled():
                placing.exception()  # it may have gone while a piece was sent
        if placed.error:
            raise base.SandboxLost(placed.error)

    def end(self) -> None:
        """Nothing more comes from there."""
        if self._placing is not None and not self._placing.done():
            self._placing.set_exception(base.SandboxLost("the sandbox went away while its code was sent"))


async def _send(link: wire.Wire, code: BinaryIO, folder: str) -> None:
    header = frames.Code(folder)
    while piece := await asyncio.to_thread(code.read, frames.PIECE_BYTES):
        await link.deliver(frames.head(header, len(piece)), piece, None)
    # The piece without bytes ends it.
    await link.deliver(frames.head(header, 0), b"", None)
