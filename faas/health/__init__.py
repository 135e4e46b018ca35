"""Facts about a platform, each with what to do about it: for `faas doctor`, the control API, and whoever watches."""
