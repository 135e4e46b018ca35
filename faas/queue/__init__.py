"""The queue: where invocations and their records lie in Redis, and the scripts that move them."""
