"""The languages that one process knows. The composition root fills it; nothing enters itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from faas.runtimes import port


class Runtimes:
    """Languages by what manifests write."""

    def __init__(self, known: Sequence[port.Runtime]) -> None:
        self._known = tuple(known)

    def __iter__(self) -> Iterator[port.Runtime]:
        return iter(self._known)

    def of(self, asked: str) -> port.Runtime | None:
        """The language that ``runtime: asked`` means, in whatever version; None for one that is not known here."""
        return next((runtime for runtime in self._known if runtime.takes(asked)), None)

    def name_of(self, asked: str) -> str:
        """Its name, by which sandboxes are asked for; for one that is not known here, the name that was asked for."""
        found = self.of(asked)
        return asked if found is None else found.name
