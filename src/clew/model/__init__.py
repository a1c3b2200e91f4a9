"""What is recorded: span kinds, attribute names, usage, ids, dialects. Pure data; imports nothing of Clew above errors."""
