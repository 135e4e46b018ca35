"""An attacker on what the kernel shares among containers: limits of a user, uncounted memory, files that two see."""

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

_libc = ctypes.CDLL(None, use_errno=True)
_kept = []
_named = {}
_AF_INET, _AF_INET6 = 2, 10


def attacker(event, context):
    return TRIES[event["try"]](event)


def who(event):
    return {"user": os.getuid(), "group": os.getgid(), "groups": os.getgroups(), "pid": os.getpid()}


# -- limits that the kernel has for each user; what is used up stays used up while the sandbox is kept


def uses_up(event):
    """Take all there is of one kind, and keep it; how much that was."""
    return _used_up(TAKERS[event["kind"]])


def has(event):
    """Whether there is some of each kind."""
    return {what: _takes_one(take) for what, take in TAKERS.items()}


def _used_up(take):
    taken = 0
    while taken < 20_000:
        try:
            _kept.append(take())
        except OSError as error:
            return [taken, errno.errorcode[error.errno]]
        taken += 1
    return [taken, "no end"]


def _takes_one(take):
    try:
        _kept.append(take())
    except OSError as error:
        return errno.errorcode[error.errno]
    return "yes"


def _in_flight():
    """A socket pair in whose queue descriptors lie that nobody takes."""
    near, far = socket.socketpair()
    null = os.open("/dev/null", os.O_RDONLY)
    try:
        socket.send_fds(near, [b"x"], [null] * 200)
    finally:
        os.close(null)
    return near, far


def _inotify():
    made = _libc.inotify_init1(0)
    if made < 0:
        raise OSError(ctypes.get_errno(), "inotify_init1")
    return made


def _pending_signal():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGRTMIN})
    if _libc.sigqueue(os.getpid(), int(signal.SIGRTMIN), None) < 0:
        raise OSError(ctypes.get_errno(), "sigqueue")


def _message_queue():
    name = b"/queue-%d" % len(_kept)
    made = ctypes.CDLL(None, use_errno=True).mq_open(name, os.O_CREAT | os.O_RDWR, 0o600, None)
    if made < 0:
        raise OSError(ctypes.get_errno(), "mq_open")
    return made


def _large_pipe():
    ends = os.pipe()
    try:
        fcntl.fcntl(ends[1], 1031, 1 << 20)
    except OSError:
        os.close(ends[0])
        os.close(ends[1])
        raise
    return ends


TAKERS = {
    "descriptors on their way": _in_flight,
    "inotify instances": _inotify,
    "pending signals": _pending_signal,
    "message queues": _message_queue,
    "large pipes": _large_pipe,
}


# -- files that two sandboxes might both see


def _shared():
    for root in ("/var/runtime", "/var/task", "/var/faas", "/etc"):
        for folder, _folders, names in os.walk(root):
            yield folder
            yield from (os.path.join(folder, name) for name in names)
    yield sys.executable
    yield os.__file__


def _opened():
    for path in _shared():
        try:
            yield path, os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError:
            continue


def locks_all(event):
    """Lock everything that is readable, in both ways, for good; how many that were."""
    for _path, fd in _opened():
        with contextlib.suppress(BlockingIOError):  # by another name of the same file
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.isfile(f"/proc/self/fd/{fd}"):
            fcntl.fcntl(fd, fcntl.F_SETLK, struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, 0, 0, 0))
        _kept.append(fd)
    return len(_kept)


def finds_locks(event):
    """What somebody else has locked."""
    found = []
    for path, fd in _opened():
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0)
            kind = struct.unpack("hhqqi4x", fcntl.fcntl(fd, fcntl.F_GETLK, asked))[0]
            if kind != fcntl.F_UNLCK:
                found.append(f"{path} by fcntl")
        except BlockingIOError:
            found.append(path)
        os.close(fd)
    return found


def watches(event):
    """Watch what is readable; how many that are."""
    watcher = _inotify()
    _kept.append(watcher)
    _named["watcher"] = watcher
    _named["watched"] = {_libc.inotify_add_watch(watcher, path.encode(), 0xFFF): path for path in _shared()}
    return len(_named["watched"])


def reads_all(event):
    """Read what is readable, now and then and for some time."""
    for _path, fd in _opened():
        with contextlib.suppress(OSError):
            os.read(fd, 10)
        os.close(fd)


def saw(event):
    """What the watcher has news of."""
    if not select.select([_named["watcher"]], [], [], 0.2)[0]:
        return []
    news = os.read(_named["watcher"], 1 << 20)
    watches = []
    while news:
        watch, _mask, _cookie, size = struct.unpack_from("iIII", news)
        watches.append(watch)
        news = news[16 + size :]
    return sorted({_named["watched"].get(watch, "") for watch in watches})


# -- memory that no limit counts

MIB = 1 << 20


def fills_sockets(event):
    """Send to sockets that nobody reads, by many connections; how many MiB lie in the kernel."""
    held, stuck = 0, 0
    while held < event["mib"] * MIB and stuck < 8:
        more = _fill(event["kind"])
        if more is None:
            break
        stuck = 0 if more else stuck + 1
        held += more
    return held // MIB


def _fill(kind):
    try:
        return {"tcp": _fill_tcp, "udp": _fill_udp, "unix": _fill_unix, "sysv": _fill_sysv, "corked": _fill_corked}[
            kind
        ]()
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOSPC):
            return None
        raise


def _fill_tcp():
    if "listener" not in _named:
        _named["listener"] = socket.create_server(("127.0.0.1", 0), backlog=512)
    listener = _named["listener"]
    near = socket.socket()
    near.settimeout(0.3)
    try:
        near.connect(listener.getsockname())
        far, _ = listener.accept()
    except TimeoutError:
        return 0
    _kept.extend((near, far))
    near.setblocking(False)
    return _sent(near.send)


def _fill_udp():
    far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 23)
    far.bind(("127.0.0.1", 0))
    near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    near.connect(far.getsockname())
    _kept.append(far)
    for _ in range(64):
        try:
            near.send(bytes(32_000))
        except OSError:
            break
    near.close()
    far.setblocking(False)
    return _waiting(far)


def _waiting(far):
    """What of it has arrived: looked at one datagram, and the rest by the kernel's own count."""
    with open("/proc/net/udp") as file:
        port = f":{far.getsockname()[1]:04X} "
        rows = [line.split() for line in file if port in line]
    return sum(int(row[4].partition(":")[2], 16) for row in rows)


def _fill_unix():
    near, far = socket.socketpair()
    _kept.extend((near, far))
    near.setblocking(False)
    return _sent(near.send)


def _fill_sysv():
    queue = _libc.msgget(0, 0o1600)
    if queue < 0:
        raise OSError(ctypes.get_errno(), "msgget")
    sent = 0
    while _libc.msgsnd(queue, struct.pack("l", 1) + bytes(8000), 8000, 0o4000) == 0:
        sent += 8000
    return sent


def _fill_corked():
    """A datagram that is never whole, and so never sent."""
    near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    near.connect(("127.0.0.1", 9))
    _kept.append(near)
    return near.send(bytes(60_000), socket.MSG_MORE)


def fills_by_many(event):
    """The same by many processes, each with as many descriptors as it may have."""
    ends, children = os.pipe(), []
    for _ in range(event["processes"]):
        child = os.fork()
        if child == 0:
            os.write(ends[1], b"%d\n" % fills_sockets(event))
            time.sleep(60)
        children.append(child)
    told = b""
    while told.count(b"\n") < event["processes"]:
        told += os.read(ends[0], 1 << 16)
    return sum(map(int, told.split()))


def _sent(send):
    sent, part = 0, bytes(1 << 16)
    try:
        while True:
            sent += send(part)
    except BlockingIOError:
        return sent


# -- calls of the kernel


def opens_sockets(event):
    """The kinds of sockets that could be made beside those that are to be there."""
    allowed = {(family, protocol) for family in (_AF_INET, _AF_INET6) for protocol in (0, 6, 17)}
    found = []
    for family in range(2, 50):
        for kind in range(1, 11):
            for protocol in (0, 1, 2, 6, 16, 17, 18, 58, 132, 136, 255, 262):
                if (family, protocol) not in allowed and _makes(family, kind, protocol):
                    found.append([family, kind, protocol])
    return found


def _makes(family, kind, protocol):
    made = _libc.socket(family, kind, protocol)
    if made < 0:
        return False
    os.close(made)
    return True


def calls(event):
    """The error of each call by its number; a call that kills is made by a child."""
    return {name: _error_of(number) for name, number in event["numbers"].items()}


def _error_of(number):
    _libc.syscall.restype = ctypes.c_long
    ctypes.set_errno(0)
    answer = _libc.syscall(ctypes.c_long(number), 0, 0, 0, 0, 0, 0)
    return errno.errorcode.get(ctypes.get_errno(), "?") if answer < 0 else "works"


def calls_as_32_bit(event):
    """How a child ends that makes a call of 32-bit programs (getpid, by int 0x80); its status as `wait` has it."""
    child = os.fork()
    if child == 0:
        page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        page.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
        ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
        os._exit(0)
    return _ending(child)


def calls_as_x32(event):
    """The same of a call by the numbers of x32 (getpid)."""
    child = os.fork()
    if child == 0:
        os._exit(0 if _libc.syscall(ctypes.c_long(0x40000000 | 39)) >= 0 else 3)
    return _ending(child)


def _ending(child):
    status = os.waitpid(child, 0)[1]
    return f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"


def opens_terminals(event):
    try:
        _kept.append(os.openpty())
    except OSError as error:
        return errno.errorcode[error.errno]
    return "one"


def is_whole(event):
    """What ordinary programs need: threads, processes, locks, pipes, loopback, names of interfaces, shared memory."""
    import concurrent.futures
    import multiprocessing

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        summed = sum(threads.map(int, range(10)))
    lock = multiprocessing.get_context("fork").Lock()
    with lock, socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
    done = subprocess.run([sys.executable, "-c", "print(6)"], capture_output=True, text=True, check=True)
    names = sorted(os.listdir("/sys/class/net"))
    socket.getaddrinfo("localhost", 80, flags=socket.AI_ADDRCONFIG)
    import getpass

    with open("/tmp/locked", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
    return [summed, done.stdout.strip(), names, getpass.getuser()]


# -- what a function says of itself, and does when nobody pays


def lies(event):
    """Answer in the agent's place, with a figure for memory that cannot be."""
    for fd in range(3, 64):
        try:
            sock = socket.socket(fileno=os.dup(fd))
        except OSError:
            continue
        if sock.family == socket.AF_UNIX and sock.getsockname() == "":
            own = event["id"].encode()
            header = struct.pack(">BBIQ", 2, 0, event["mem_kb"], event["us"]) + own
            sock.setblocking(True)
            sock.sendall(struct.pack(">II", len(header), 4) + header + b"null")
            time.sleep(60)


def works_on(event):
    """Leave a thread, or a process, that counts; how far the last one came."""
    counted = _counter.value
    if event["by"] == "thread":
        threading.Thread(target=_count, daemon=True).start()
    elif event["by"] == "process" and os.fork() == 0:
        _count()
    return counted


def counted(event):
    return _counter.value


_counter = ctypes.c_uint64.from_buffer(mmap.mmap(-1, 8))


def _count():
    while True:
        _counter.value += 1


TRIES = {
    each.__name__: each
    for each in (
        who,
        uses_up,
        has,
        locks_all,
        finds_locks,
        watches,
        reads_all,
        saw,
        fills_sockets,
        fills_by_many,
        opens_sockets,
        calls,
        calls_as_32_bit,
        calls_as_x32,
        opens_terminals,
        is_whole,
        works_on,
        counted,
    )
}


def liar(event, context):
    return lies({**event, "id": context.aws_request_id})


def header(event, context):
    names = ("Faas-Error", "faas-invocation-id", "FAAS-Whatever", "Faas_Error", "X-Mine")
    return {"statusCode": 200, "headers": dict.fromkeys(names, "forged"), "body": "ok"}
