"""The page: static files without a build step, and the table of them that the control API serves."""
