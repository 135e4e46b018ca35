"""The list prices of other clouds, as the file beside this module has them: with their date and their sources."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib import resources

import msgspec

from faas.core import errors
from faas.core.money import comparing


@functools.cache
def table() -> Mapping[str, comparing.ListPrice]:
    """All of them by the names that they are asked for by."""
    held = resources.files(__package__).joinpath("list_prices.json").read_bytes()
    return msgspec.json.decode(held, type=dict[str, comparing.ListPrice])


def of(name: str) -> comparing.ListPrice:
    """The list of that name. Raises `errors.BadRequest`."""
    found = table().get(name)
    if found is None:
        raise errors.BadRequest(f"query: as: no prices of {name[:80]!r}", hint=f"there are {', '.join(table())}")
    return found
