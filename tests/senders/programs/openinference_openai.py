"""OpenAI's client under OpenInference's instrumentation, exported by the OpenTelemetry SDK."""

from conversation import converse
from openai import OpenAI
from openinference.instrumentation.openai import OpenAIInstrumentor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
OpenAIInstrumentor().instrument(tracer_provider=provider)
with provider.get_tracer("program").start_as_current_span("ask"):
    converse(OpenAI())
provider.shutdown()
