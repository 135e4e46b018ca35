"""Calls to the Docker daemon from the event loop: in threads of their own, their errors translated once."""

from __future__ import annotations

import asyncio
import concurrent.futures
import socket
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import docker
import docker.errors
import docker.utils
import requests

from runners.sandbox import base

CALL_WITHIN_S = 60
PING_WITHIN_S = 3
OLDEST_API = "1.41"
DEFAULT_URL = "unix:///var/run/docker.sock"
STARTS_AT_ONCE = 8
QUICK_AT_ONCE = 4

_P = ParamSpec("_P")
_T = TypeVar("_T")


def connect(timeout_s: int = CALL_WITHIN_S) -> docker.APIClient:
    """A client of the daemon that the environment names, else of the local one. Raises `base.EngineUnavailable`."""
    try:
        where: dict[str, Any] = {**docker.utils.kwargs_from_env()}
        _knock(where.get("base_url") or DEFAULT_URL, timeout_s)
        return docker.APIClient(version=_api_version(where, timeout_s), timeout=timeout_s, **where)
    except (docker.errors.DockerException, requests.RequestException, OSError) as error:
        raise away(error) from error


def _knock(url: str, timeout_s: int) -> None:
    """Raise `OSError` when nobody listens on a local socket; the client leaves its own open in that case."""
    scheme, _, path = url.partition("://")
    if scheme in ("unix", "http+unix"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knocking:
            knocking.settimeout(timeout_s)
            knocking.connect("/" + path.lstrip("/"))


def _api_version(where: dict[str, Any], timeout_s: int) -> str:
    """The daemon's version of the API, asked for here so that the client is closed when nobody answers."""
    asking = docker.APIClient(version=OLDEST_API, timeout=timeout_s, **where)
    try:
        return str(asking.version(api_version=False)["ApiVersion"])
    finally:
        asking.close()


def away(error: Exception) -> base.EngineUnavailable:
    """The platform's error for a daemon that cannot be asked, or that refuses."""
    if isinstance(error, docker.errors.APIError) and error.explanation:
        return base.EngineUnavailable(f"Docker refused: {error.explanation}", hint="see `faas doctor`")
    return base.EngineUnavailable(
        f"Docker does not answer: {type(error).__name__}", hint="start the Docker daemon, or set FAAS_ENGINE=process"
    )


class CallThreads:
    """Threads for calls. Starting and removing takes long and has threads of its own, so that claims never wait for it.

    Every method raises `base.EngineUnavailable` for the daemon's and the connection's errors, except that
    `docker.errors.NotFound` passes.
    """

    def __init__(self) -> None:
        self._slow = concurrent.futures.ThreadPoolExecutor(STARTS_AT_ONCE, "docker-slow")
        self._quick = concurrent.futures.ThreadPoolExecutor(QUICK_AT_ONCE, "docker-quick")

    def slow(self, call: Callable[..., _T], *args: Any) -> asyncio.Future[_T]:
        """Start or remove."""
        return asyncio.get_running_loop().run_in_executor(self._slow, _translated, call, args)

    def quick(self, call: Callable[..., _T], *args: Any) -> asyncio.Future[_T]:
        """Whatever an attempt waits for."""
        return asyncio.get_running_loop().run_in_executor(self._quick, _translated, call, args)

    def close(self) -> None:
        """End the threads when they have nothing left to do."""
        self._slow.shutdown(wait=False)
        self._quick.shutdown(wait=False)


def _translated(call: Callable[..., _T], args: tuple[Any, ...]) -> _T:
    try:
        return call(*args)
    except docker.errors.NotFound:
        raise
    except (docker.errors.DockerException, requests.RequestException, OSError) as error:
        raise away(error) from error
