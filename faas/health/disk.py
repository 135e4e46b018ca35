"""How much room is left for what the platform keeps on disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from faas.core import groups
from faas.health import facts

_LOW_BYTES = 1024 * 1024 * 1024


def gather(data: groups.Data) -> Iterator[facts.Fact]:
    """The fact ``disk``."""
    try:
        free = shutil.disk_usage(data.root).free
    except OSError as error:
        yield facts.Fact("disk", facts.Severity.FAILED, f"{data.root}: {error.strerror}")
        return
    text = f"{free / 1024**3:.1f} GiB free under {data.root}"
    if free > _LOW_BYTES:
        yield facts.Fact("disk", facts.Severity.OK, text)
    else:
        yield facts.Fact("disk", facts.Severity.WARNING, text, "full, nothing more is accepted or recorded: make room")
