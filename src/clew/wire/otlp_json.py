"""Spans and log records as OTLP/JSON: one line holds one export request (the format of the OpenTelemetry collector's file exporter).

Field names are lowerCamelCase, ids lower-case hex, 64-bit integers decimal strings, ``kind`` and ``status.code`` numbers; attribute
values are scalars and arrays of scalars. Redaction and content capture happen here, so nothing that is written or sent skips them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring
from typing import Any, Final, Literal, NamedTuple, Protocol

from clew.model import attributes as names

Capture = Literal["full", "hash", "off"]
Scalar = str | bool | int | float
Value = Scalar | Sequence[Scalar]

# Where other dialects keep what people and models wrote; our own names say so in model.attributes (content=True).
_FOREIGN_CONTENT: Final = (
    *("input.value", "output.value", "llm.input_messages.", "llm.output_messages.", "llm.prompts", "llm.choices", "llm.tools."),
    *("llm.prompt_template.", "llm.function_call", "retrieval.documents.", "reranker.", "embedding.embeddings.", "tool.parameters"),
    *("gen_ai.prompt", "gen_ai.completion", "gen_ai.system_instructions", "gen_ai.retrieval.query.text", "gen_ai.retrieval.documents"),
    *("gen_ai.memory.query.text", "gen_ai.memory.records", "gen_ai.event.content", "traceloop.entity.input", "traceloop.entity.output"),
    *("ai.prompt", "ai.response.text", "ai.response.object", "ai.toolCall.args", "ai.toolCall.result", "langfuse.observation.input"),
    *("langfuse.observation.output", "langfuse.trace.input", "langfuse.trace.output", "mlflow.spanInputs", "mlflow.spanOutputs"),
)


class Event(NamedTuple):
    name: str
    time_unix_nano: int
    attributes: Mapping[str, Value] | None = None


class Link(NamedTuple):
    trace_id: int
    span_id: int
    attributes: Mapping[str, Value] | None = None
    trace_state: str = ""


class SpanRecord(Protocol):
    """What the encoder reads from a span. Ids are integers, 0 where there is none; an open span ends at 0."""

    @property
    def trace_id(self) -> int: ...
    @property
    def span_id(self) -> int: ...
    @property
    def parent_span_id(self) -> int: ...
    @property
    def trace_state(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def otlp_kind(self) -> int: ...
    @property
    def start_unix_nano(self) -> int: ...
    @property
    def end_unix_nano(self) -> int: ...
    @property
    def fixed(self) -> Mapping[str, Value]:
        """Attributes that every span of this sort has; must be the same object from span to span."""

    @property
    def attributes(self) -> Mapping[str, Value]: ...
    @property
    def events(self) -> Sequence[Event] | None: ...
    @property
    def links(self) -> Sequence[Link] | None: ...
    @property
    def status_code(self) -> int: ...
    @property
    def status_message(self) -> str: ...
    @property
    def dropped_attributes(self) -> int: ...
    @property
    def dropped_events(self) -> int: ...


text = encode_basestring
"""A JSON string. A lone surrogate stays one until :func:`line` makes bytes of it."""


def _double(value: float) -> str:
    if math.isfinite(value):
        return f'{{"doubleValue":{value!r}}}'
    return '{"doubleValue":"NaN"}' if value != value else f'{{"doubleValue":"{"-" if value < 0 else ""}Infinity"}}'


def _int(value: int) -> str:
    if -(1 << 63) <= value < 1 << 63:
        return f'{{"intValue":"{value}"}}'
    # OTLP has no wider integer; the digits are kept, unless there are so many that Python refuses to print them.
    return f'{{"stringValue":"{value}"}}' if value.bit_length() < 4096 else f'{{"stringValue":"<int of {value.bit_length()} bits>"}}'


def any_value(value: Value) -> str:
    """An OTLP AnyValue as JSON.

    :raises TypeError: the value is neither a scalar nor a sequence of scalars
    """
    if isinstance(value, str):
        return f'{{"stringValue":{text(value)}}}'
    if isinstance(value, bool):
        return '{"boolValue":true}' if value else '{"boolValue":false}'
    if isinstance(value, int):
        return _int(int(value))
    if isinstance(value, float):
        return _double(float(value))
    if isinstance(value, (tuple, list)):
        items = ",".join([any_value(item) for item in value])
        return f'{{"arrayValue":{{"values":[{items}]}}}}'
    raise TypeError(f"not an attribute value: {type(value).__qualname__}")


def _pair(name: str, value: Value) -> str:
    return f'{{"key":{text(name)},"value":{any_value(value)}}}'


def is_content(name: str) -> bool:
    """Whether what stands under ``name``, of our dialect or a foreign one, was written by people or models."""
    attribute = names.BY_NAME.get(name)
    return attribute.content if attribute is not None else name.startswith(_FOREIGN_CONTENT)


def digest(value: Value) -> str:
    """What stands for content in capture mode ``hash``."""
    import hashlib

    data = (value if isinstance(value, str) else any_value(value)).encode("utf-8", "replace")
    return f"sha256:{hashlib.sha256(data).hexdigest()} ({len(data)} bytes)"


def _redaction() -> Any:
    from clew.wire import redaction  # compiles its patterns in 15 ms: not on `import clew`

    return redaction


class Encoder:
    """Encodes spans under one set of rules; keeps small caches of what repeats. For one thread.

    :param redact: mask secrets
    :param capture: what becomes of content: recorded, replaced by ``sha256:<hex> (<n> bytes)``, or left out
    """

    def __init__(self, *, redact: bool = True, capture: Capture = "full") -> None:
        self._redact = redact
        self._secrets = _redaction()
        self._capture = capture
        self._plain: dict[str, str] = {}
        self._fixed: dict[int, tuple[Mapping[str, Value], str]] = {}

    def spans(self, spans: Sequence[SpanRecord]) -> list[str | Exception]:
        """Each span as a JSON object, or the error that kept it from being encoded."""
        closely = self._redact and len(spans) > 1 and self._secrets.is_suspect("\n".join([part for span in spans for part in _texts(span)]))
        encoded: list[str | Exception] = []
        for span in spans:
            try:
                encoded.append(self.span(span, closely=closely or len(spans) == 1))
            except Exception as error:
                encoded.append(error)
        return encoded

    def span(self, span: SpanRecord, *, closely: bool = True) -> str:
        """One span as a JSON object. ``closely`` False says that no text of it looks like a secret."""
        closely = closely and self._redact and self._secrets.is_suspect("\n".join(_texts(span)))
        plain = self._plain
        pairs = self._fixed_pairs(span.fixed)
        for name, value in span.attributes.items():
            prefix = plain.get(name)
            kind = value.__class__
            if prefix is None:
                pairs += self._unusual(name, value)
            elif kind is str:
                if closely:
                    value = self._secrets.redact_text(value)  # type: ignore[arg-type]
                pairs += f'{prefix}{{"stringValue":{text(value)}}}}},'  # type: ignore[arg-type]
            elif kind is int and -(1 << 63) <= value < 1 << 63:  # type: ignore[operator]
                pairs += f'{prefix}{{"intValue":"{value}"}}}},'
            else:
                pairs += f"{prefix}{any_value(self._clean(name, value))}}},"
        name = self._secrets.redact_text(span.name) if closely else span.name
        message = span.status_message
        parent = span.parent_span_id
        rest = (f',"parentSpanId":"{parent:016x}"' if parent else "") + self._rest(span)
        status = f'{{"code":{span.status_code}' + (f',"message":{text(self._text(message))}}}' if message else "}")
        return (
            f'{{"traceId":"{span.trace_id:032x}","spanId":"{span.span_id:016x}"{rest},"name":{text(name)},"kind":{span.otlp_kind},'
            f'"startTimeUnixNano":"{span.start_unix_nano}","endTimeUnixNano":"{span.end_unix_nano}",'
            f'"attributes":[{pairs[:-1]}],"status":{status}}}'
        )

    def attributes(self, values: Mapping[str, Value]) -> str:
        """A JSON array of key and value, redacted and captured like a span's."""
        pairs = "".join([self._unusual(name, value) for name, value in values.items()])
        return f"[{pairs[:-1]}]"

    def _rest(self, span: SpanRecord) -> str:
        rest = ""
        if span.events:
            rest += f',"events":[{",".join([self._event(event) for event in span.events])}]'
        if span.links:
            rest += f',"links":[{",".join([self._link(link) for link in span.links])}]'
        if span.trace_state:
            rest += f',"traceState":{text(span.trace_state)}'
        if span.dropped_attributes:
            rest += f',"droppedAttributesCount":{span.dropped_attributes}'
        if span.dropped_events:
            rest += f',"droppedEventsCount":{span.dropped_events}'
        return rest

    def _event(self, event: Event) -> str:
        attributes = f',"attributes":{self.attributes(event.attributes)}' if event.attributes else ""
        return f'{{"timeUnixNano":"{event.time_unix_nano}","name":{text(self._text(event.name))}{attributes}}}'

    def _link(self, link: Link) -> str:
        attributes = f',"attributes":{self.attributes(link.attributes)}' if link.attributes else ""
        state = f',"traceState":{text(link.trace_state)}' if link.trace_state else ""
        return f'{{"traceId":"{link.trace_id:032x}","spanId":"{link.span_id:016x}"{state}{attributes}}}'

    def _fixed_pairs(self, fixed: Mapping[str, Value]) -> str:
        known = self._fixed.get(id(fixed))
        if known is not None and known[0] is fixed:
            return known[1]
        pairs = "".join([f"{_pair(name, value)}," for name, value in fixed.items()])
        if len(self._fixed) >= 10_000:
            self._fixed.clear()
        self._fixed[id(fixed)] = (fixed, pairs)
        return pairs

    def _unusual(self, name: str, value: Value) -> str:
        """A pair under a name that is new, secret, or content that must not be recorded as it is."""
        if self._redact and self._secrets.is_secret_name(name):
            return f"{_pair(name, self._secrets.redact(name, value))},"
        if self._capture != "full" and is_content(name):
            return f"{_pair(name, digest(value))}," if self._capture == "hash" else ""
        shown = self._text(name)
        if shown == name:
            if len(self._plain) >= 10_000:  # names can be data; forget rather than grow
                self._plain.clear()
            self._plain[name] = f'{{"key":{text(name)},"value":'
        return f"{_pair(shown, self._clean(name, value))},"

    def _clean(self, name: str, value: Value) -> Value:
        return self._secrets.redact(name, value) if self._redact else value

    def _text(self, value: str) -> str:
        return self._secrets.redact_text(value) if self._redact else value


def _texts(span: SpanRecord) -> list[str]:
    texts = [value for value in span.attributes.values() if value.__class__ is str]
    texts.append(span.name)
    return texts  # type: ignore[return-value]


def trace_line(resource: str, scopes: Mapping[str, Sequence[str]]) -> bytes:
    """One line: an ExportTraceServiceRequest. ``resource`` is the resource's JSON; ``scopes`` maps what :func:`scope` gave to its spans' JSON."""
    groups = ",".join([f'{{{scope},"spans":[{",".join(spans)}]}}' for scope, spans in scopes.items()])
    return line(f'{{"resourceSpans":[{{"resource":{resource},"scopeSpans":[{groups}]}}]}}')


def log_line(resource: str, scope: str, record: str) -> bytes:
    """One line: an ExportLogsServiceRequest with one log record."""
    return line(f'{{"resourceLogs":[{{"resource":{resource},"scopeLogs":[{{{scope},"logRecords":[{record}]}}]}}]}}')


def log_record(event: str, time_unix_nano: int, values: Mapping[str, Value], severity: int = 9) -> str:
    """A log record that is an event: its name, and attributes."""
    pairs = ",".join([_pair(name, value) for name, value in values.items()])
    return (
        f'{{"timeUnixNano":"{time_unix_nano}","observedTimeUnixNano":"{time_unix_nano}","severityNumber":{severity},'
        f'"eventName":{text(event)},"body":{{"stringValue":{text(event)}}},"attributes":[{pairs}]}}'
    )


def resource(values: Mapping[str, Value]) -> str:
    """A resource's JSON."""
    return f'{{"attributes":[{",".join([_pair(name, value) for name, value in values.items()])}]}}'


def scope(name: str, version: str = "", values: Mapping[str, Value] | None = None, schema_url: str = "") -> str:
    """An instrumentation scope and its schema, as the members that a scopeSpans or scopeLogs object begins with."""
    pairs = ",".join([_pair(key, value) for key, value in (values or {}).items()])
    made = f'"scope":{{"name":{text(name)}'
    if version:
        made += f',"version":{text(version)}'
    if pairs:
        made += f',"attributes":[{pairs}]'
    return f'{made}}},"schemaUrl":{text(schema_url)}' if schema_url else f"{made}}}"


def line(document: str) -> bytes:
    """A document of one line as bytes, with its line feed."""
    try:
        return document.encode() + b"\n"
    except UnicodeEncodeError:  # a lone surrogate, which UTF-8 cannot hold
        return document.encode("utf-8", "replace") + b"\n"
