"""What a revision brings into the process before its handler is imported: environment, folder, path, limits."""

from __future__ import annotations

import os
import resource
import sys
import time

from . import imports
from .connection import Header


class Identity:
    """The names of the loaded revision, as the environment and every context show them."""

    def __init__(self, load: Header) -> None:
        self.function = str(load["function"])
        self.version = str(load["version"])
        self.memory_mb = str(load["memory_mb"])
        self.region = str(load["region"])
        self.arn = f"arn:aws:lambda:{self.region}:{load['account']}:function:{self.function}"
        self.log_group = f"/aws/lambda/{self.function}"
        self.log_stream = f"{time.strftime('%Y/%m/%d', time.gmtime())}/[{self.version}]{os.urandom(16).hex()}"


def prepare(load: Header, identity: Identity, agent_folder: str) -> None:
    """Make the process the revision's: limits, environment, working directory and import path."""
    code = str(load["code"])
    _limit(load.get("limits") or {})
    _set_environment(load, identity, agent_folder)
    if load.get("style") == "fc":
        from . import fc

        fc.prepare(load, identity)
    os.chdir(code)
    _set_import_path(code, agent_folder, load.get("env") or {})
    sys.argv = [""]


def _limit(limits: Header) -> None:
    _lower(resource.RLIMIT_CORE, 0)
    if limits.get("file_bytes"):
        _lower(resource.RLIMIT_FSIZE, int(limits["file_bytes"]))


def _lower(kind: int, value: int) -> None:
    _soft, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))


def _set_environment(load: Header, identity: Identity, agent_folder: str) -> None:
    code = str(load["code"])
    os.environ.update(
        {
            "AWS_REGION": identity.region,
            "AWS_DEFAULT_REGION": identity.region,
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "PYTHONPATH": code,
            "PYTHONUNBUFFERED": "1",
        }
    )
    os.environ.update({str(name): str(value) for name, value in (load.get("env") or {}).items()})
    os.environ.update(
        {
            "AWS_LAMBDA_FUNCTION_NAME": identity.function,
            "AWS_LAMBDA_FUNCTION_VERSION": identity.version,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": identity.memory_mb,
            "AWS_LAMBDA_LOG_GROUP_NAME": identity.log_group,
            "AWS_LAMBDA_LOG_STREAM_NAME": identity.log_stream,
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info[0]}.{sys.version_info[1]}",
            "_HANDLER": str(load["handler"]),
            "LAMBDA_TASK_ROOT": code,
            "LAMBDA_RUNTIME_DIR": agent_folder,
        }
    )
    os.environ.pop("_X_AMZN_TRACE_ID", None)
    time.tzset()


def _set_import_path(code: str, agent_folder: str, env: Header) -> None:
    """The code's folder, what the function's own ``PYTHONPATH`` names, the base image's Python, and our ``faas``."""
    own = [os.path.join(code, part) for part in str(env.get("PYTHONPATH", "")).split(os.pathsep) if part]
    rest = [entry for entry in sys.path if entry != agent_folder]
    imports.make_way([code, *own])
    sys.path[:] = list(dict.fromkeys([code, *own, *rest, os.path.join(agent_folder, "importable")]))
