"""A victim that holds secrets everywhere a function can, and an attacker that tries what it is told."""

import array
import ctypes
import errno
import mmap
import os
import socket
import stat
import struct
import subprocess
import sys
import time

SECRET_IN_CODE = "victims-secret-in-code"
MAX_SEARCHED_BYTES = 4 << 20


def victim(event, context):
    print("victims-secret-in-log", event)
    with open("/tmp/victim", "w") as file:
        file.write("victims-secret-in-tmp")
    with context.bucket("vault").open("object") as file:
        file.read()
    return SECRET_IN_CODE


def attacker(event, context):
    return TRIES[event["try"]](event, context)


# -- what is to be found


def searches(event, context):
    """Every readable file but this function's own code that holds the text, which comes reversed."""
    needle = event["reversed"][::-1].encode()
    return [path for path in _files("/") if not path.startswith("/var/task/") and needle in _head(path)]


def _files(root):
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if os.path.join(folder, name) not in ("/sys", "/proc/self/task")]
        if folder.startswith("/proc/") and folder.count("/") > 2:
            folders.clear()
        yield from (os.path.join(folder, name) for name in names)


def _head(path):
    try:
        if path.startswith("/proc/") and os.path.basename(path) not in ("environ", "cmdline", "maps", "mountinfo"):
            return b""
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            return file.read(MAX_SEARCHED_BYTES) or b""
    except OSError:
        return b""


def surroundings(event, context):
    """All that can be seen of what is around: sockets by path, processes, descriptors, mounts, places to write."""
    with open("/proc/self/mountinfo") as file:
        mounts = {line.split()[4]: line.split()[3] for line in file}
    return {
        "sockets": [path for path in _files("/") if _is_socket(path)],
        "processes": [_head(f"/proc/{pid}/cmdline").decode() for pid in os.listdir("/proc") if pid.isdigit()],
        "descriptors": [_link(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")],
        "environment": dict(os.environ),
        "mounts": mounts,
        "writable": sorted(_writable()),
    }


def _is_socket(path):
    try:
        return stat.S_ISSOCK(os.lstat(path).st_mode)
    except OSError:
        return False


def _link(path):
    try:
        return os.readlink(path)
    except OSError:
        return "gone"


def _writable():
    for folder, folders, _ in os.walk("/"):
        if folder in ("/proc", "/sys"):
            folders.clear()
        probe = os.path.join(folder, ".probe")
        try:
            os.close(os.open(probe, os.O_CREAT | os.O_WRONLY))
        except OSError:
            continue
        os.unlink(probe)
        yield folder


def reads(event, context):
    return [path for path in event["paths"] if _head_of_any(path)]


def _head_of_any(path):
    try:
        with open(path, "rb") as file:
            return file.read(64)
    except OSError:
        return b""


def connects(event, context):
    """The addresses that answered."""
    return [address for address in event["addresses"] if _answers(address)]


def _answers(address):
    kind = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(kind, socket.SOCK_STREAM) as client:
        client.settimeout(2)
        try:
            client.connect(address if kind == socket.AF_UNIX else tuple(address))
        except OSError:
            return False
        return True


# -- what would give more rights

_libc = ctypes.CDLL(None, use_errno=True)
_ADD_KEY, _PERF_EVENT_OPEN, _BPF = 248, 298, 321
_LIMITS = ("memory.max", "memory.high", "memory.swap.max", "cpu.max", "pids.max")
_PTRACE_SEIZE, _CLONE_NEWUSER, _CLONE_NEWNS, _AF_PACKET = 0x4206, 0x10000000, 0x00020000, 17


def gains(event, context):
    """The ways that worked."""
    ways = {
        "becomes root": lambda: os.setuid(0),
        "runs a setuid program as root": _runs_setuid,
        "makes a user namespace": lambda: _call(_libc.unshare, _CLONE_NEWUSER),
        "makes a mount namespace": lambda: _call(_libc.unshare, _CLONE_NEWNS),
        "mounts": lambda: _call(_libc.mount, b"none", b"/tmp", b"tmpfs", 0, None),
        "makes the root writable": lambda: _call(_libc.mount, None, b"/", None, 32 | 4096, None),
        "opens a raw socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1),
        "opens a packet socket": lambda: socket.socket(_AF_PACKET, socket.SOCK_RAW, 3),
        "makes a device": lambda: os.mknod("/tmp/device", stat.S_IFBLK | 0o600, os.makedev(8, 0)),
        "uses the kernel's keyring": lambda: _call(_libc.syscall, _ADD_KEY, b"user", b"name", b"value", 5, -3),
        "loads a BPF program": lambda: _call(_libc.syscall, _BPF, 0, None, 0),
        "measures the kernel": lambda: _call(_libc.syscall, _PERF_EVENT_OPEN, None, 0, -1, -1, 0),
        "sets the clock": lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()),
        "sets the host's name": lambda: socket.sethostname("evil"),
        "raises its limits": lambda: __import__("resource").setrlimit(7, (1 << 20, 1 << 20)),
        "lowers its niceness": lambda: os.nice(-5),
        "is spared by the kernel": lambda: _write("/proc/self/oom_score_adj", "-1000"),
        "leads core dumps to a program": lambda: _write("/proc/sys/kernel/core_pattern", "|/bin/sh"),
        "pulls the kernel's levers": lambda: _write("/proc/sysrq-trigger", "h"),
        "leaves its control group": lambda: _write("/sys/fs/cgroup/memory/cgroup.procs", str(os.getpid())),
        "lifts its memory limit": lambda: _write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "-1"),
        "leads ended groups to a program": lambda: _write("/sys/fs/cgroup/memory/release_agent", "/bin/sh"),
        "leaves its control group of version 2": lambda: _write("/sys/fs/cgroup/cgroup.procs", str(os.getpid())),
        "makes a control group of version 2": lambda: os.mkdir("/sys/fs/cgroup/own"),
        **{f"lifts {name}": lambda name=name: _write(f"/sys/fs/cgroup/{name}", "max") for name in _LIMITS},
        "reads the kernel's memory": lambda: open("/proc/kcore", "rb").read(1)[0],
        "reads the kernel's log": lambda: open("/dev/kmsg", "rb"),
        "reads a disk": lambda: open("/dev/sda", "rb"),
        "changes the agent": lambda: _write("/var/runtime/__main__.py", ""),
        "changes its code": lambda: _write("/var/task/app.py", ""),
        "changes its code's mode": lambda: os.chmod("/var/task/app.py", 0o777),
        "opens by handle": lambda: _call(_libc.open_by_handle_at, 3, ctypes.create_string_buffer(64), 0),
        "enters another namespace": lambda: _call(_libc.setns, os.open("/proc/1/ns/mnt", os.O_RDONLY), 0),
    }
    return [name for name, way in ways.items() if _worked(way)]


def _worked(way):
    try:
        way()
    except (OSError, ValueError, IndexError):
        return False
    return True


def _call(function, *arguments):
    if function(*arguments) < 0:
        raise OSError(ctypes.get_errno(), "refused")


def _write(path, text):
    with open(path, "w") as file:
        file.write(text)


def _runs_setuid():
    programs = [path for path in _files("/usr") if _has_setuid(path)]
    if not programs:
        raise OSError(errno.ENOENT, "none")
    script = "import os; raise SystemExit(os.geteuid() != 0)"
    for program in ("su", "mount", "newgrp", "passwd"):
        arguments = {"su": ["-c", f"{sys.executable} -c '{script}'"], "mount": ["-t", "tmpfs", "none", "/tmp"]}
        done = subprocess.run([program, *arguments.get(program, [])], stdin=subprocess.DEVNULL, capture_output=True)
        if done.returncode == 0:
            return
    raise OSError(errno.EPERM, "none gives rights")


def _has_setuid(path):
    try:
        return bool(os.lstat(path).st_mode & (stat.S_ISUID | stat.S_ISGID))
    except OSError:
        return False


# -- what would use up the host, or outlive


def fills(event, context):
    """How many bytes went into a folder before it was full."""
    path, written = os.path.join(event["folder"], "filling"), 0
    try:
        with open(path, "wb", buffering=0) as file:
            while True:
                written += file.write(b"\0" * (1 << 20))
    except OSError as error:
        return [errno.errorcode[error.errno], written]
    finally:
        os.unlink(path)


def outlives(event, context):
    """Leave the session, the group and the parent behind, ignore what can be ignored, and never return."""
    code = "import signal, time\nfor n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\ntime.sleep(600)"
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execv(sys.executable, [sys.executable, "-c", code, event["mark"]])
        os._exit(0)
    while True:
        time.sleep(1)


# -- the function's end of the socket


def _frame(header, body=b""):
    return struct.pack(">II", len(header), len(body)) + header + body


def _own_socket():
    for fd in range(3, 256):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                return socket.socket(fileno=os.dup(fd))
        except OSError:
            continue
    raise AssertionError("no socket")


def _open_frame(bucket=b"vault", key=b"object"):
    return _frame(b'{"t":"open","n":1,"bucket":"%s","key":"%s","mode":"r"}' % (bucket, key))


def _result(own):
    return struct.pack(">BBIQ", 2, 0, 1, 1) + own


def speaks(event, context):
    """Break the protocol with the agent in a way that has a name, then wait for the end."""
    sock, own = _own_socket(), context.aws_request_id.encode()
    sock.setblocking(True)
    how = event["how"]
    if how == "sends descriptors":
        null = os.open("/dev/null", os.O_RDONLY)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [null] * 200))]
        try:
            for _ in range(50):
                sock.sendmsg([_open_frame()], rights)
        except OSError as error:  # the kernel bounds what one user may have on the way
            print(error)
    elif how == "floods and never reads":
        while True:
            sock.sendall(_open_frame() * 100)
    elif how == "sends half a frame":
        sock.sendall(struct.pack(">II", 60_000, 6_000_000) + b" " * 50_000)
    elif how == "sends the largest body":
        sock.sendall(_frame(_result(own), b"[" * 6_300_000))
    elif how == "answers another":
        sock.sendall(_frame(_result(event["other"].encode()), b"1"))
    time.sleep(60)


def rewrites(event, context):
    """Publish an object, keeping each way to write to its file, and then write another text by all of them."""
    own = context.bucket("own")
    with own.open("rewritten", "wb") as file:
        file.write(b"published")
        file.flush()
        kept = os.dup(file.fileno())
        mapped = mmap.mmap(kept, 9)
        again = [_or_none(lambda: os.open(f"/proc/self/fd/{kept}", flags)) for flags in (os.O_WRONLY, os.O_RDONLY)]
    os.pwrite(kept, b"descriptor", 0)
    mapped[:7] = b"mapping"
    again += [_or_none(lambda: os.open(f"/proc/self/fd/{fd}", os.O_RDWR)) for fd in (kept, *filter(None, again))]
    for fd in filter(None, again):
        _or_none(lambda: os.pwrite(fd, b"again", 0))
    os.truncate(kept, 3)
    found = own.read_text("rewritten")
    mapped.close()
    for fd in (kept, *filter(None, again)):  # the sandbox is used again, by a function that looks at its descriptors
        os.close(fd)
    return found


def _or_none(call):
    try:
        return call()
    except OSError:
        return None


def asks_undeclared(event, context):
    """What the runner says to requests that the agent would not make, past the agent."""
    sock = _own_socket()
    sock.setblocking(True)
    answers = []
    for bucket, key in event["wanted"]:
        sock.sendall(_open_frame(bucket.encode(), key.encode()))
        lengths, descriptors, _, _ = socket.recv_fds(sock, 8, 4, socket.MSG_WAITALL)
        header = sock.recv(struct.unpack(">II", lengths)[0], socket.MSG_WAITALL)
        answers.append("open" if descriptors else header.decode())
    return answers


TRIES = {
    each.__name__: each
    for each in (searches, surroundings, reads, connects, gains, fills, outlives, speaks, rewrites, asks_undeclared)
}
