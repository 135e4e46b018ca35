"""The control API: one module a resource."""
