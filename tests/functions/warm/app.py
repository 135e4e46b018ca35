"""Names at module level keep their values while the sandbox is warm."""

import os

imports = []
imports.append(os.getpid())
calls = 0


def handler(event, context):
    global calls
    calls += 1
    return {"calls": calls, "imports": len(imports)}
