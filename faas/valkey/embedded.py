"""The embedded server: one Valkey process on a Unix socket in a folder of its own, which ends with its parent.

The folder holds the socket, the append-only file, the log and a lock. The parent *and* the server hold the lock, so a
folder is free only when both have gone, whichever died first.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import msgspec

from faas.core import errors
from faas.core.processes import living, locks, tether
from faas.core.values import unreadable
from faas.valkey import append_only, programs, syncing

_log = logging.getLogger(__name__)

_SOCKET = "redis.sock"
_LOG = "redis.log"
_LONGEST_SOCKET_PATH = 107
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._~-]+")
_MIN_FREE_BYTES = 16 * 1024 * 1024
_ANSWER_WITHIN_S = 30.0

_OPTIONS = {
    "port": "0",
    "unixsocket": _SOCKET,
    "unixsocketperm": "700",
    "daemonize": "no",
    "appendonly": "yes",
    "aof-load-truncated": "yes",
    "save": "",
    "maxmemory-policy": "noeviction",
    "maxclients": "4096",
}

_DAMAGED = "Bad file format"
_DAMAGE = (_DAMAGED, "Unrecoverable error reading the append only file", "the truncated file is not the last file")
_ADVICE = {
    "No space left on device": "free some space on the disk that holds the data directory",
    "Permission denied": "make the folder and all in it writable for this user",
    "Read-only file system": "choose a data directory on a disk that can be written",
    _DAMAGED: (
        "the append-only file is damaged; run `bash -c 'exec -a valkey-check-aof {binary} --fix {manifest}'`,"
        " or move the folder away to start empty"
    ),
}


class EmbeddedServer:
    """Starts, watches and ends one server in ``folder``. Start it from the main thread: see `core.processes.tether`.

    After a crash `start` may be called again; the URL stays the same until `stop`. ``program`` is the path of the
    server to start; an empty one is the pinned one.
    """

    def __init__(
        self,
        folder: Path,
        *,
        program: str = "",
        lock_within_s: float = 10.0,
        memory_mb: int = 2_048,
        syncs_always: bool = False,
    ) -> None:
        self.folder = folder.absolute()
        self._memory_mb = memory_mb
        self._syncs_always = syncs_always
        self._syncing: asyncio.Task[None] | None = None
        self._lock_within_s = lock_within_s
        self._program = program
        self._binary = Path(program)
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None
        self._folder_descriptor: int | None = None

    def __repr__(self) -> str:
        return f"<EmbeddedServer pid={self.pid} folder={str(self.folder)!r}>"

    @property
    def pid(self) -> int | None:
        """The server's process id while it has not been waited for."""
        return self._process.pid if self._process else None

    @property
    def socket_path(self) -> str:
        """The socket as clients of this machine reach it: its own path where that fits into a socket address.

        Otherwise it goes through our open descriptor of the folder, which is short and needs nothing on disk.
        """
        path = str(self.folder / _SOCKET)
        if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH and _PLAIN_PATH.fullmatch(path):
            return path
        if self._folder_descriptor is None:
            self._folder_descriptor = os.open(self.folder, os.O_PATH | os.O_DIRECTORY)
        return f"/proc/{os.getpid()}/fd/{self._folder_descriptor}/{_SOCKET}"

    @property
    def url(self) -> str:
        """The URL for every Redis client of this machine's user."""
        return f"unix://{self.socket_path}"

    async def start(self) -> str:
        """Start the server and return its URL once it answers PING, however long it loads its append-only file.

        From then on the file is synced once a second, until `stop`, unless the server itself does it at each write.

        A file that a full disk damaged is mended first (`append_only.mend`). Raises `errors.Conflict` when another
        server lives in the folder, `errors.Unavailable` when this one cannot.
        """
        try:
            await self._start()
        except errors.Unavailable as error:
            is_damaged = any(sign in error.message for sign in _DAMAGE)
            if not is_damaged or not await asyncio.to_thread(self._mend):
                raise
            await self._start()
        if not self._syncs_always and self._syncing is None:
            self._syncing = asyncio.create_task(syncing.keep_synced(self.folder), name="sync the append-only file")
        return self.url

    def _mend(self) -> bool:
        with contextlib.suppress(OSError):
            if gaps := append_only.mend(self.folder):
                lost = sum(gap.lost for gap in gaps)
                _log.warning("append_only_file_mended", extra={"folder": str(self.folder), "lost_bytes": lost})
                return True
        return False

    async def _start(self) -> None:
        # Looked at before each start: the program may have been replaced since.
        self._binary = await asyncio.to_thread(self._checked_binary)
        try:
            self._prepare()
            await self._hold_lock()
            self._sweep()
            log_starts_at = self._spawn(self._binary)
        except OSError as error:
            self._release()
            raise self._refusal(os.strerror(error.errno or 0)) from error
        except BaseException:
            self._release()
            raise
        try:
            await self._answering()
        except BaseException as error:
            failed = self._process is not None and self._process.poll() is not None
            await self._kill()
            self._release()
            if failed and isinstance(error, errors.Unavailable):
                raise self._refusal(self._said_since(log_starts_at)) from error
            raise

    def _checked_binary(self) -> Path:
        return programs.named(self._program) if self._program else programs.pinned()

    async def exited(self) -> int:
        """Wait until the server has ended, for whatever reason; its return code (negative: the signal)."""
        return 0 if self._process is None else await tether.exited(self._process)

    async def stop(self, within_s: float = 10.0) -> None:
        """End the server with its append-only file on disk; after ``within_s`` by force. Safe to call twice."""
        if self._syncing is not None:
            self._syncing.cancel()
            self._syncing = None
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                # Valkey answers SIGTERM like SHUTDOWN: it syncs, then leaves.
                self._process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.exited(), within_s)
            await self._kill()
        self._release()

    def _prepare(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if shutil.disk_usage(self.folder).free < _MIN_FREE_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _sweep(self) -> None:
        """Remove what rewrites that a killed server had begun have left, and killed backups: as large as all its data.

        A server with an append-only file does not read ``dump.rdb``.
        """
        for left in (*self.folder.glob("temp-*"), *self.folder.glob("dump.rdb")):
            left.unlink()

    async def _hold_lock(self) -> None:
        """A server whose parent was killed is about to end too, so a held lock is waited for a little.

        The lock that we hold for a server of ours that has died is what its rewrite holds, too, and says nothing.
        """
        if self._lock is not None:
            # Opened anew below: on the descriptor that we hold already, to ask for the lock would always succeed.
            os.close(self._lock)
        self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        until = asyncio.get_running_loop().time() + self._lock_within_s
        while not locks.taken(self._lock):
            self._end_orphaned_rewrite(self._lock)
            if asyncio.get_running_loop().time() > until:
                owner = os.pread(self._lock, 20, 0).partition(b"\n")[0].decode(errors="replace").strip() or "unknown"
                raise errors.Conflict(
                    f"another server (of process {owner}) uses {self.folder}", hint="use another data directory"
                )
            await asyncio.sleep(0.05)
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, _owner(None), 0)

    def _end_orphaned_rewrite(self, lock: int) -> None:
        """End the rewrite that a killed server had begun: it would hold the server's lock until it is done.

        While one of a dead server's group is there, which the lock says, no other group has its id.
        """
        with contextlib.suppress(*unreadable.ERRORS, ProcessLookupError):
            server = msgspec.json.decode(os.pread(lock, 500, 0).partition(b"\n")[2], type=living.ProcessIdentity)
            if living.is_dead(server):
                os.killpg(server.pid, signal.SIGKILL)

    def _spawn(self, binary: Path) -> int:
        settings = _OPTIONS | {
            "maxmemory": f"{self._memory_mb}mb",
            "appendfsync": "always" if self._syncs_always else "no",
        }
        options = [word for key, value in settings.items() for word in (f"--{key}", value)]
        with (self.folder / _LOG).open("ab") as log:
            starts_at = log.tell()
            self._process = subprocess.Popen(
                tether.tethered([str(binary), *options]),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # The server holds it as well, by inheritance: it is free when both have gone.
                pass_fds=(self._lock,) if self._lock is not None else (),
                start_new_session=True,
            )
        if self._lock is not None:
            os.pwrite(self._lock, _owner(living.of(self._process.pid)), 0)
        return starts_at

    async def _answering(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + _ANSWER_WITHIN_S
        while (answer := await self._ping()) != b"+PONG\r\n":
            if self._process is None or self._process.poll() is not None:
                raise errors.Unavailable(f"the embedded Redis server in {self.folder} ended")
            # A file of gigabytes takes minutes: as long as it says that it loads, it is not late.
            if answer.startswith(b"-LOADING"):
                until = loop.time() + _ANSWER_WITHIN_S
            if loop.time() > until:
                raise errors.Unavailable(
                    f"the embedded Redis server in {self.folder} does not answer", hint=f"see {self.folder / _LOG}"
                )
            await asyncio.sleep(0.01)

    async def _ping(self) -> bytes:
        try:
            async with asyncio.timeout(1):
                reader, writer = await asyncio.open_unix_connection(self.socket_path)
                try:
                    writer.write(b"PING\r\n")
                    return await reader.readline()
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return b""

    async def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            await self.exited()
            self._process = None

    def _release(self) -> None:
        for descriptor in (self._lock, self._folder_descriptor):
            if descriptor is not None:
                os.close(descriptor)
        self._lock = self._folder_descriptor = None

    def _said_since(self, offset: int) -> str:
        with (self.folder / _LOG).open("rb") as log:
            log.seek(offset)
            lines = log.read(65_536).decode(errors="replace").splitlines()
        # Valkey marks what is serious so; its advice about the host's settings is, too.
        told = [line.split(" # ", 1)[1] for line in lines if " # " in line and "WARNING" not in line]
        return told[-1] if told else (lines[-1] if lines else "it said nothing")

    def _refusal(self, reason: str) -> errors.Unavailable:
        advice = next((text for sign, text in _ADVICE.items() if sign in reason), f"see {self.folder / _LOG}")
        manifest = self.folder / "appendonlydir" / "appendonly.aof.manifest"
        hint = advice.format(binary=self._binary, manifest=manifest)
        return errors.Unavailable(f"the embedded Redis server cannot use {self.folder}: {reason}", hint=hint)


def _owner(server: living.ProcessIdentity | None) -> bytes:
    """What the lock says: a line with our process id, for people, and the server for whoever comes after it."""
    return f"{os.getpid()}\n".encode() + (msgspec.json.encode(server) if server else b"")
