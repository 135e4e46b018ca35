"""Delivery: what is in an outbox goes to a function, a bucket or a URL, is tried again, and given up where people see.

`run` is one scheduler's part of it. `post` is for whoever has something to tell that no invocation is behind.
"""

from faas.delivery.sending import run
from faas.queue.destined import Message
from faas.queue.outbox import post

__all__ = ["Message", "post", "run"]
