"""Functions that behave, and functions that do not: what the sandbox contract runs."""

import json
import os
import socket
import stat
import struct
import subprocess
import sys
import threading
import time

calls = 0


def echo(event, context):
    return event


def raw(event, context):
    return b"\x00\xffraw"


def burn(event, context):
    """Use so much processor time (seconds) in this process, then so much in a child, and sleep for so long."""
    code = "import time, sys\nwhile time.process_time() < float(sys.argv[1]): pass"
    until = time.process_time() + event["own"]
    while time.process_time() < until:
        pass
    if event["child"]:
        subprocess.run([sys.executable, "-c", code, str(event["child"])], check=True)
    time.sleep(event["sleep"])


def count(event, context):
    global calls
    calls += 1
    return calls


def values(event, context):
    """What Python's encoder writes and not every reader takes."""
    deep = []
    for _ in range(900):
        deep = [deep]
    return {"nan": {"x": float("nan")}, "infinity": -float("inf"), "half": ["\ud800"], "deep": deep}[event]


def names(event, context):
    """Who it is, by all the ways that libraries ask."""
    import getpass
    import pathlib
    import socket

    own = socket.gethostname()
    return {
        "own address": socket.gethostbyname(own),
        "ways to it": sorted({where[4][0] for where in socket.getaddrinfo(own, 80, type=socket.SOCK_STREAM)}),
        "full name": socket.getfqdn(),
        "localhost": socket.gethostbyname("localhost"),
        "user": getpass.getuser(),
        "home": str(pathlib.Path.home()),
    }


def fills_tmp(event, context):
    """What `/tmp` promises, and how many files of 45 MB it takes."""
    import os

    found = os.statvfs("/tmp")
    written = 0
    try:
        for number in range(10):
            with open(f"/tmp/{number}", "wb") as file:
                for _ in range(45):
                    file.write(b"x" * (1 << 20))
            written += 1
    except OSError as error:
        return {"promised": found.f_blocks * found.f_frsize >> 20, "written": written, "error": error.strerror}


def stops(context):
    """What runs before an idle sandbox ends."""
    print("stopping", context.function.name)
    if context.function.memory == 64:
        time.sleep(60)


def prints(event, context):
    print("out", event)
    print("err", file=sys.stderr)
    threading.Thread(target=lambda: (time.sleep(0.05), print("late"))).start()


def prints_much(event, context):
    line = "x" * 1023 + "\n"
    for _ in range(event["mib"]):
        os.write(1, (line * 1024).encode())
    return "done"


def prints_and_dies(event, context):
    subprocess.run([sys.executable, "-c", "print('from a child')"], stdin=subprocess.DEVNULL)
    print("last words")
    os.kill(os.getpid(), 9)


def leaves(event, context):
    os._exit(event)


def leaves_or_stays(event, context):
    if event == "leave":
        os._exit(3)
    return event


def kills_itself(event, context):
    os.kill(os.getpid(), 9)


def never_returns(event, context):
    while True:
        time.sleep(1)


def takes_memory(event, context):
    held = []
    while True:
        held.append(bytearray(1 << 20))


def forks(event, context):
    made = 0
    try:
        while made < 10_000:
            if os.fork() == 0:
                time.sleep(60)
                os._exit(0)
            made += 1
    except OSError:
        return made


def leaves_a_child(event, context):
    code = f"import time; open({event!r}, 'w').close(); time.sleep(60)"
    subprocess.Popen([sys.executable, "-c", code], start_new_session=True)


def dies_later(event, context):
    threading.Timer(0.3, os._exit, (1,)).start()


def _own_socket():
    for fd in range(3, 256):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                return fd
        except OSError:
            continue
    raise AssertionError("no socket")


def _frame(header, body=b""):
    return struct.pack(">II", len(header), len(body)) + header + body


def _result(request_id):
    return struct.pack(">BBIQ", 2, 0, 1, 1) + request_id.encode()


def hostile(event, context):
    fd = _own_socket()
    if event == "closes its socket":
        socket.socket(fileno=os.dup(fd)).shutdown(socket.SHUT_RDWR)
    else:
        data = {
            "writes garbage": b"garbage " * 100,
            "announces a giant header": b"\xff\xff\xff\xff\x00\x00\x00\x00",
            "announces a giant body": b"\x00\x00\x00\x10\xff\xff\xff\xff",
            "answers another id": _frame(_result("other"), b"1"),
            "says it is ready again": _frame(b'{"t":"ready","pid":1,"python":"3"}'),
            "forges a result that is not JSON": _frame(_result(context.aws_request_id), b"{"),
        }[event]
        os.write(fd, data)
    time.sleep(30)


def copies(event, context):
    with context.bucket("photos").open(event) as source, context.bucket("thumbs").open(event, "wb") as target:
        target.write(source.read() * 2)
    listed = [found.key for found in context.bucket("thumbs").list()]
    context.bucket("thumbs").delete("old")
    return listed


def refused(event, context):
    kinds = []
    for name, key, mode in event:
        try:
            context.bucket(name).open(key, mode).close()
            kinds.append("allowed")
        except (OSError, ValueError) as error:
            kinds.append(type(error).__name__)
    return kinds


def opens_and_forgets(event, context):
    kept = [context.bucket("thumbs").open(f"never-{n}", "wb") for n in range(5)]
    os._exit(1) if event else kept


def looks_around(event, context):
    with open("/proc/self/status") as file:
        status = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
    return {
        "uid": os.getuid(),
        "capabilities": [status[name].strip() for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
        "no_new_privileges": status["NoNewPrivs"].strip(),
        "writes": {path: _can_write(path) for path in ("/", "/var/task", "/var/faas", "/usr", "/tmp")},
        "root_is_read_only": bool(os.statvfs("/").f_flag & os.ST_RDONLY),
        "longest_file": next(line.split()[3] for line in open("/proc/1/limits") if line.startswith("Max file size")),
        "networks": sorted(os.listdir("/sys/class/net")),
        "tmp": oct(os.stat("/tmp").st_mode & 0o7777),
        "root": os.environ["LAMBDA_TASK_ROOT"],
        "beside": sorted(os.listdir(".")),
        "sockets": os.listdir("/var/faas"),
    }


def _can_write(folder):
    try:
        with open(os.path.join(folder, "probe"), "w"):
            return True
    except OSError:
        return False


def writes_much(event, context):
    try:
        with open("/tmp/big", "wb") as file:
            while True:
                file.write(b"\0" * (1 << 20))
    except OSError as error:
        return error.errno, os.path.getsize("/tmp/big")
    finally:
        os.unlink("/tmp/big")


def asks_past_the_agent(event, context):
    sock = socket.socket(fileno=os.dup(_own_socket()))
    answers = []
    for request in event:
        sock.sendall(_frame(json.dumps(request).encode()))
        lengths, descriptors, _, _ = socket.recv_fds(sock, 8, 1, socket.MSG_WAITALL)
        header_bytes, body_bytes = struct.unpack(">II", lengths)
        header = json.loads(sock.recv(header_bytes, socket.MSG_WAITALL))
        if body_bytes:
            sock.recv(body_bytes, socket.MSG_WAITALL)
        answers.append([header.get("error"), len(descriptors)])
    return answers


def holds(event, context):
    """Take so many MiB at once, and keep them."""
    kept.append(b"x" * (event << 20))
    return event


kept = []
