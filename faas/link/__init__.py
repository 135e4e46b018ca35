"""One connection to Redis that opens itself again and translates every error."""
