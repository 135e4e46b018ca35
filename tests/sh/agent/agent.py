"""The agent of scripts, started with the folder of its socket; docs/reference/agent-protocol.md has the frames."""

import array
import json
import os
import resource
import socket
import struct
import subprocess
import sys
import time

PREFIX = struct.Struct(">II")
INVOKE = struct.Struct(">BHHIIII")
RESULT = struct.Struct(">BBIQ")


def exactly(sock, size):
    data = b""
    while len(data) < size:
        got = sock.recv(size - len(data))
        if not got:
            os._exit(0)
        data += got
    return data


def receive(sock):
    header, body = PREFIX.unpack(exactly(sock, PREFIX.size))
    return exactly(sock, header), exactly(sock, body)


def send(sock, header, body=b""):
    sock.sendall(PREFIX.pack(len(header), len(body)) + header + body)


def memory_kb():
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def run(sock, script, header, event):
    invoke = INVOKE.unpack_from(header)
    id = header[INVOKE.size : INVOKE.size + invoke[1]]
    began = time.monotonic_ns()
    done = subprocess.run(["sh", script], input=event, stdout=subprocess.PIPE, cwd=os.path.dirname(script))
    us = (time.monotonic_ns() - began) // 1000
    if done.returncode == 0:
        send(sock, RESULT.pack(2, 1, memory_kb(), us) + id, done.stdout)
        return
    error = {"type": "ScriptFailed", "message": f"it exited with {done.returncode}", "stack": []}
    told = {"t": "error", "id": id.decode(), "us": us, "mem_kb": memory_kb(), "error": error}
    send(sock, json.dumps(told).encode())


def main():
    os.chdir(sys.argv[1])
    sock = socket.socket(socket.AF_UNIX)
    sock.connect("s")
    reading, writing = os.pipe()
    os.dup2(writing, 1)
    os.dup2(writing, 2)
    ready = json.dumps({"t": "ready", "pid": os.getpid()}).encode()
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [reading]))]
    sock.sendmsg([PREFIX.pack(len(ready), 0) + ready], rights)
    os.close(reading)
    load = json.loads(receive(sock)[0])
    os.environ.update(load["env"])
    script = os.path.join(load["code"], load["handler"])
    if os.path.isfile(script):
        send(sock, json.dumps({"t": "loaded", "init_us": 1, "mem_kb": memory_kb()}).encode())
    else:
        error = {"type": "NoScript", "message": f"there is no script {load['handler']}", "stack": []}
        send(sock, json.dumps({"t": "load_error", "init_us": 1, "mem_kb": memory_kb(), "error": error}).encode())
    while True:
        run(sock, script, *receive(sock))


main()
