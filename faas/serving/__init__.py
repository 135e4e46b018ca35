"""Listening on a port: open connections, what they may hold and for how long, and their end."""
