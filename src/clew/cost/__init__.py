"""Cost: prices (usage x price -> cost, with provenance)."""
