"""Full configurations as plain data."""
