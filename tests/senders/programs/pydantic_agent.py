"""An agent of pydantic-ai with its own instrumentation, exported by the OpenTelemetry SDK."""

from conversation import QUESTION, get_weather
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from pydantic_ai import Agent, InstrumentationSettings

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
Agent.instrument_all(InstrumentationSettings(tracer_provider=provider))
agent = Agent("openai-chat:gpt-4o-mini", name="forecaster", instructions="Be brief.")
agent.tool_plain(get_weather)
agent.run_sync(QUESTION)
provider.shutdown()
