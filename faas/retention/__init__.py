"""Removing what is past its time: records, logs, dead letters, revisions and their artifacts."""
