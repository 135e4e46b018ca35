"""redis-py clients, for all that is not on the path of an invocation: how they connect, and their errors translated."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import redis.asyncio
import redis.exceptions

from faas.core import errors
from faas.link import half_open, refusals

_CONNECT_WITHIN_S = 5
_MOST_CONNECTIONS = 8
_REFUSALS = ("MISCONF", "OOM", "READONLY", "NOREPLICAS")
_REFUSAL_KINDS = (redis.exceptions.OutOfMemoryError, redis.exceptions.ReadOnlyError)


def connect(url: str) -> redis.asyncio.Redis:
    """A client that connects at its first command. Reads wait as long as the command says that it blocks.

    redis-py would give up on any read after 5 s, also on one that was asked to block for longer. And it would open a
    hundred connections for what is asked at once when Redis is back, and keep them: here that waits in line.
    A read that waits without end ends when Redis's host has gone (`half_open`).
    """
    # Connections over Unix sockets do not take these arguments.
    over_tcp = {"socket_keepalive": True, "socket_keepalive_options": half_open.OPTIONS}
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        url,
        max_connections=_MOST_CONNECTIONS,
        timeout=None,
        socket_timeout=None,
        socket_connect_timeout=_CONNECT_WITHIN_S,
        **({} if url.startswith("unix:") else over_tcp),
    )
    return redis.asyncio.Redis.from_pool(pool)


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Raise `errors.Unavailable` for what redis-py raises when Redis is away, or takes no writes (a full disk)."""
    try:
        yield
    # These two are ConnectionErrors to redis-py; waiting does not help with them.
    except (redis.exceptions.AuthorizationError, redis.exceptions.AuthenticationError) as error:
        raise errors.Unavailable(f"Redis refuses: {error}", hint=refusals.RIGHTS) from error
    except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError) as error:
        raise errors.Unavailable(f"Redis does not answer: {error}") from error
    # It is a ResponseError to redis-py, so it has to stand before those.
    except redis.exceptions.NoPermissionError as error:
        raise errors.Unavailable(f"Redis refuses: {error}", hint=refusals.RIGHTS) from error
    except redis.exceptions.ResponseError as error:
        # A pipeline puts words of its own before what Redis said, and some errors lose their first word to their class.
        is_refusal = isinstance(error, _REFUSAL_KINDS) or any(refusal in str(error) for refusal in _REFUSALS)
        if not is_refusal:
            raise
        raise errors.Unavailable(f"Redis takes no writes: {error}", hint="is its disk or its memory full?") from error
