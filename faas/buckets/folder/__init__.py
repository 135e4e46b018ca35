"""Buckets that are folders: all that is known of paths, descriptors, extended attributes, leases and file events."""
