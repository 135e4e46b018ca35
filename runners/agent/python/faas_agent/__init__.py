"""The language agent for Python: connection, loading, invocations, the context that handlers see."""
