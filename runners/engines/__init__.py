"""The engines that make sandboxes on this host, one a folder, and what they share."""
