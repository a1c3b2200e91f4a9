"""An agent of pydantic-ai under logfire, which sends to OTEL_EXPORTER_OTLP_ENDPOINT instead of its own service."""

import logfire
from conversation import QUESTION, get_weather
from pydantic_ai import Agent

logfire.configure(send_to_logfire=False, console=False)
logfire.instrument_pydantic_ai()
agent = Agent("openai-chat:gpt-4o-mini", name="forecaster", instructions="Be brief.")
agent.tool_plain(get_weather)
with logfire.span("forecast for {city}", city="Lisbon"):
    agent.run_sync(QUESTION)
    logfire.warn("the answer is {kind}", kind="short")
logfire.shutdown()
