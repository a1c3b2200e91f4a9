"""Recording other people's libraries: ``clew.instrument("openai", "langgraph", ...)``."""
