"""What decoding bytes raises that somebody else wrote, or that a crash cut short."""

from __future__ import annotations

ERRORS = (ValueError, RecursionError)
"""For ``except``, around any ``decode`` of msgspec's.

Its own errors are ValueErrors. A text in them that is no UTF-8 raises a UnicodeDecodeError, which is a ValueError and
none of msgspec's; and what is nested too deeply raises a RecursionError, also where only `msgspec.Raw` is asked for.
"""
