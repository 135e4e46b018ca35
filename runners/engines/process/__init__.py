"""Sandboxes that are processes of this machine."""
