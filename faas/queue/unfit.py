"""What triggers found in buckets that cannot become an event: told to whoever asks, as long as somebody looks."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from faas.queue import server as servers


class Told(msgspec.Struct, frozen=True):
    """How many there are in a bucket, and some of them: printable names, and why each is unfit."""

    count: int
    shown: tuple[tuple[str, str], ...] = ()


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Told).decode


async def tell(server: servers.RedisServer, bucket: str, told: Told, for_ms: int) -> None:
    """Keep what was found in a bucket; it is forgotten when nobody looks any more. Raises `errors.Unavailable`."""
    await server.link.call("SET", server.keys.unfit(bucket), _encode(told), "PX", for_ms)


async def of(server: servers.RedisServer, buckets: Iterable[str]) -> dict[str, Told]:
    """What was found, by bucket; those that nobody looked into lately are missing. Raises `errors.Unavailable`."""
    names = sorted(buckets)
    if not names:
        return {}
    held = await server.link.call("MGET", *(server.keys.unfit(name) for name in names))
    return {name: _decode(each) for name, each in zip(names, held, strict=True) if each is not None}
