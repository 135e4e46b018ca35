"""What was billed."""

from __future__ import annotations

from typing import Annotated

import msgspec

_Doc = msgspec.Meta


class Amount(msgspec.Struct, frozen=True, kw_only=True):
    """Attempts, and what they are billed."""

    count: int
    billed_count: Annotated[int, _Doc(description="Those whose handler ran: they are billed.")]
    billed_ms: int
    mb_ms: Annotated[int, _Doc(description="Billed milliseconds times the memory in MB, as far as that is known.")]
    cpu_us: Annotated[int, _Doc(description="Processor time, in microseconds.")]
    cost_pico: Annotated[int, _Doc(description="In pico-units: 10^-12 of the currency.")]
    cost_decimal: Annotated[str, _Doc(description="The same in the currency, as a decimal: `0.00000836`.")]
    there_pico: Annotated[
        int | None, _Doc(description="What it would have cost by `compared`, in pico-units of its currency.")
    ]
    there_decimal: Annotated[str | None, _Doc(description="The same in that currency, as a decimal.")]


class BillItem(Amount, frozen=True, kw_only=True):
    """One line of a bill; ``name`` is a function, a day (UTC), a trigger, the value of a tag, or all tags together.

    It is empty for what has no (such) tag. By root it is the id of the first invocation of a chain, which the other
    fields are about; ``is_cut`` says that the chain has more records than are added up.
    """

    name: str
    function: str | None = None
    trigger: str | None = None
    object: str | None = None
    ended_at_ms: int | None = None
    is_cut: bool = False


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """The list prices that a bill is compared with, what of them is counted, and what is left out.

    ``unknown`` are billed attempts that are not compared, since nobody knows the memory that they had.
    """

    title: str
    region: str
    architecture: str
    dated: str
    sources: tuple[str, ...]
    currency: str
    counts: tuple[str, ...]
    leaves_out: tuple[str, ...]
    unknown: int


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """A statement; its total is the sum of its lines. It counts whole days (UTC): from the start of the day that holds
    ``since_ms``, or from the first, to the end of the day before which ``until_ms`` lies, or to now.

    By root chains count whose first invocation ended in that time, to the millisecond; ``next`` leads to older ones.
    """

    by: str
    tag: str | None
    since_ms: int | None
    until_ms: int | None
    currency: str
    lines: tuple[BillItem, ...]
    total: Amount
    compared: Compared | None
    next: str | None
