"""What nodes tell one another: leases and who is dead, demand for sandboxes, how many slots there are, the catalog."""
