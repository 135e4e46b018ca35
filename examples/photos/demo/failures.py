"""How the demo ends when it does not end well. Both errors carry one line for a person."""

from __future__ import annotations


class Failed(Exception):
    """Something did not come out as it should."""


class Interrupted(Exception):
    """Somebody asked the demo to end."""
