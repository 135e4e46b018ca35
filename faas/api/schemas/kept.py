"""What is kept, how much room it takes and for how long it stays."""

from __future__ import annotations

from typing import Annotated

import msgspec


class KeepChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For how long a kind is to be kept (0 is for ever), or null to forget what was set; of one function, or of all."""

    keep_ms: Annotated[int, msgspec.Meta(ge=0)] | None
    function: str | None = None


class KeepTerm(msgspec.Struct, frozen=True, kw_only=True):
    """For how long something is kept (0 is for ever), and by whose word.

    ``origin`` is `function` or `all` where somebody set it while the platform ran, else `manifest` or `settings`. What
    is set for the function wins, then its manifest, then what is set for all.
    """

    keep_ms: int
    origin: str


class KeptKind(msgspec.Struct, frozen=True, kw_only=True):
    """How much there is of one kind, and how much was removed because its time had come. Null is not known.

    ``bytes`` are those of bodies, texts and files. ``keep`` is null where no time is set. ``setting`` counts where
    nobody set anything else.
    """

    count: int | None
    bytes: int | None
    freed: int = 0
    freed_bytes: int = 0
    keep: KeepTerm | None = None
    setting: str | None = None


class KeptAmount(msgspec.Struct, frozen=True, kw_only=True):
    """How much of one kind a function has; its bytes are null where only the number is known."""

    count: int
    bytes: int | None


class KeptOfFunction(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of one function, and for how long. ``figures`` is null but for a function that was asked for."""

    name: str
    bytes: int
    kinds: dict[str, KeptAmount]
    keep: dict[str, KeepTerm]
    figures: int | None


class KeptReport(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept: of all functions by kind, and of each. ``total`` are the functions, on this page or not."""

    kinds: dict[str, KeptKind]
    functions: tuple[KeptOfFunction, ...]
    total: int
    database_bytes: int
    database_free_bytes: int
    looked_at_ms: int | None
