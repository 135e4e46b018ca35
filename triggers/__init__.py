"""What turns the outside into invocations: HTTP requests, timers, uploads, and what is due or settled."""
