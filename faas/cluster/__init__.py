"""What nodes tell one another: leases, who is dead, demand, slots, the catalog, and who has how much memory."""
