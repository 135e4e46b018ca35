"""Alarms: the figures that they may be on, and their rules."""
