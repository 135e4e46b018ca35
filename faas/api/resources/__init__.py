"""The handlers of the control API, one module a resource: parse, call, respond."""
