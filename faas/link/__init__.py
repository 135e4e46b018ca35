"""Connections to Redis: the link, which opens itself again, and redis-py's; both translate every error."""
