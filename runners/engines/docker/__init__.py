"""Sandboxes that are containers of Docker, or of Podman by the same API."""
