"""What attempts cost: billed time, budgets, list prices of others, tags by which sums are kept. In whole pico-units."""
