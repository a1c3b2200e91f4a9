"""Other people's systems: their shapes, from our questions."""
