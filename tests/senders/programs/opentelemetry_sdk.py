"""The OpenTelemetry SDK alone, over HTTP or gRPC: an agent with a model call and a tool, a log record, and two metrics."""

import json
import logging
import sys

from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind

if sys.argv[1] == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
else:
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter  # type: ignore[assignment]
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # type: ignore[assignment]
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # type: ignore[assignment]

traces, logs = TracerProvider(), LoggerProvider()
traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
metrics = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())])
tracer, meter = traces.get_tracer("program", "1.0"), metrics.get_meter("program")
logger = logging.getLogger("program")
logger.addHandler(LoggingHandler(logger_provider=logs))

question, answer = (
    {"role": role, "parts": [{"type": "text", "content": text}]} for role, text in (("user", "Why?"), ("assistant", "Because."))
)
model = {"gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o-mini"}
usage = {"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 20, "gen_ai.usage.cache_read.input_tokens": 40}
said = {"gen_ai.input.messages": json.dumps([question]), "gen_ai.output.messages": json.dumps([answer])}
with tracer.start_as_current_span(
    "invoke_agent forecaster", attributes={"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "forecaster"}
):
    with tracer.start_as_current_span(
        "chat gpt-4o-mini", kind=SpanKind.CLIENT, attributes={"gen_ai.operation.name": "chat", **model, **usage, **said}
    ):
        meter.create_counter("program.calls").add(1, {"model": "gpt-4o-mini"})
        meter.create_histogram("program.wait", "s").record(0.25)
    called = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "get_weather", "gen_ai.tool.call.arguments": '{"city":"Lisbon"}'}
    with tracer.start_as_current_span("execute_tool get_weather", attributes=called | {"gen_ai.tool.call.result": "sunny in Lisbon"}):
        logger.warning("it is hot")
for provider in (traces, logs, metrics):
    provider.shutdown()
