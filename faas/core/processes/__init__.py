"""Processes of this machine: whether one lives, and children that die with their parent (Linux)."""
