"""The journal of a node: what it was handed off, written to a file of its own and shipped to Redis in batches."""
