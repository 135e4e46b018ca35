"""A small shop: quotes that are quick, charges that fail at times, reports that are slow, a timer, a pager."""

from __future__ import annotations

import json
import logging
import os
import time
from typing import Any

FAILING = int(os.environ.get("FAILING", "0"))
"""Of a hundred orders so many cannot be charged."""

REPORT_S = 0.8
SWEEP_S = 0.05

_log = logging.getLogger("shop")
_log.setLevel(logging.INFO)


class BankIsAway(Exception):
    """The bank did not answer."""


def quote(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """``GET /quote/{item}``: a price, and one line of JSON that says what was asked for."""
    item = event["pathParameters"]["item"]
    cents = price(item)
    print(json.dumps({"level": "info", "message": "quoted", "item": item, "cents": cents}))
    return {"item": item, "cents": cents}


def price(item: str) -> int:
    """What an item costs: the same whenever it is asked for."""
    return 100 + sum(item.encode()) * 7 % 5_000


def charge(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """``POST /charge``: an order that is paid, or a `BankIsAway`; another attempt at the same order fails as well."""
    order = json.loads(event["body"])
    about = {"order": order["order"], "cents": order["cents"]}
    # By 37, so that those that fail are not one after the other.
    if order["order"] * 37 % 100 < FAILING:
        _log.warning("the bank does not answer", extra=about)
        raise BankIsAway(f"order {order['order']} is not charged")
    _log.info("charged", extra=about)
    return about


def report(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """``GET /report/{day}``: takes its time, as reports do, and says how far it is."""
    day = event["pathParameters"]["day"]
    for part in ("orders", "refunds"):
        print(f"{day}: adding up {part}")
        time.sleep(REPORT_S / 2)
    return {"day": day, "cents": price(day) * 1_000}


def sweep(event: dict[str, Any], context: Any) -> None:
    """A timer: forgets baskets that nobody came back to."""
    time.sleep(SWEEP_S)
    print(f"swept at {event['time']}")


def pager(event: dict[str, Any], context: Any) -> None:
    """Is told what alarms have to say. A real one would call somebody."""
    print(event["text"])
