"""Models by name, through pydantic-ai. Every request to one is recorded, and noted in the ledger of calls."""
