"""Alarms: their rules are looked at every few seconds, and whoever is to be told is told once.

`run` is one scheduler's part of it; several may run at once.
"""

from faas.alerts.watching import run

__all__ = ["run"]
