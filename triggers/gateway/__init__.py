"""HTTP requests become invocations, and the outcomes of those become answers."""
