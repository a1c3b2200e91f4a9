"""pydantic-ai instruments itself; it only has to be told where to send its spans."""

from __future__ import annotations

from typing import Any


class PydanticAiInstrumentor:
    """All agents of the process, those that were made before too."""

    def instrument(self, *, tracer_provider: Any) -> None:
        """Start."""
        from pydantic_ai import Agent
        from pydantic_ai.models.instrumented import InstrumentationSettings

        Agent.instrument_all(InstrumentationSettings(tracer_provider=tracer_provider, include_content=True))

    def uninstrument(self) -> None:
        """Stop."""
        from pydantic_ai import Agent

        Agent.instrument_all(False)
