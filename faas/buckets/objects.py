"""What one object of a bucket is."""

from __future__ import annotations

import hashlib

import msgspec


class Object(msgspec.Struct, frozen=True, eq=False):
    """One object. ``version`` is another one whenever the content is replaced or written to.

    Two are equal that are one version of one key: ``changed_ns`` moves on when a mark or a link is made.
    """

    key: str
    size: int
    modified_ns: int
    version: str
    changed_ns: int = 0
    """When it was written, moved into place or marked, where that is known."""

    def __eq__(self, other: object) -> bool:
        """Whether it is the same version of the same object."""
        return isinstance(other, Object) and (self.key, self.version) == (other.key, other.version)

    def __hash__(self) -> int:
        """As `__eq__` compares."""
        return hash((self.key, self.version))

    @property
    def appeared_ms(self) -> int:
        """By when it was in the bucket as it is, in Unix milliseconds."""
        return max(self.modified_ns, self.changed_ns) // 1_000_000

    @property
    def modified_ms(self) -> int:
        """When it was last written, in Unix milliseconds."""
        return self.modified_ns // 1_000_000

    @property
    def etag(self) -> str:
        """32 hexadecimal digits that stand for the version. Like S3's for multipart objects, no digest of the bytes."""
        return hashlib.sha256(self.version.encode()).hexdigest()[:32]
