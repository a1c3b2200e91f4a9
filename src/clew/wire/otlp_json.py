"""Spans and log records as OTLP/JSON: one line holds one export request (the format of the OpenTelemetry collector's file exporter).

Field names are lowerCamelCase, ids lower-case hex, 64-bit integers decimal strings, ``kind`` and ``status.code`` numbers; attribute
values are scalars and arrays of scalars. Redaction and content capture happen here, so nothing that is written or sent skips them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
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


class TraceRecord(Protocol):
    """What the encoder reads from a trace: its id, the nanoseconds from the spans' clock to 1970, the W3C ``tracestate``."""

    trace_id: int
    offset: int
    state: str


class Sort(Protocol):
    """What spans of one sort have in common."""

    @property
    def otlp_kind(self) -> int: ...
    @property
    def fixed(self) -> Mapping[str, Value]:
        """Attributes that each has."""

    @property
    def bare(self) -> Mapping[str, Value]:
        """The same without the operation, for a span that names its own."""

    @property
    def keywords(self) -> Mapping[str, str]:
        """Keyword to attribute; any other name stands for itself."""

    @property
    def name_attribute(self) -> str | None:
        """Attribute that carries the span's name too."""


class RareRecord(Protocol):
    """What most spans do not have."""

    events: list[Event]
    links: list[Link]
    message: str
    dropped_attributes: int
    dropped_events: int


class SpanRecord(Protocol):
    """What the encoder reads from a span. Times are nanoseconds of the trace's clock; an open span has ``ended`` 0; a parent of 0 is none.

    Plain attributes, few and flat: reading them is a good part of the encoder's time.
    """

    @property
    def trace(self) -> TraceRecord: ...
    @property
    def instrument(self) -> Sort: ...
    @property
    def span_id(self) -> int: ...
    @property
    def parent_span_id(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def started(self) -> int: ...
    @property
    def ended(self) -> int: ...
    @property
    def given(self) -> dict[str, Any]:
        """Attributes by keyword or name."""

    @property
    def status_code(self) -> int: ...
    @property
    def rare(self) -> RareRecord | None: ...


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


class _Sort:
    """What the encoder keeps of an instrument: pieces of JSON that repeat."""

    __slots__ = ("_bare", "_fixed", "name_pair", "otlp_kind", "shown")

    def __init__(self, instrument: Sort, capture: Capture) -> None:
        self.otlp_kind = instrument.otlp_kind
        self._fixed = ",".join([_pair(name, value) for name, value in instrument.fixed.items()])
        self._bare = ",".join([_pair(name, value) for name, value in instrument.bare.items()])
        self.shown = ""
        """What is shown instead of the name, where the name is content that must not be recorded: a decision's is its question."""
        self.name_pair = ""
        if instrument.name_attribute and capture != "full" and is_content(instrument.name_attribute):
            self.shown = text(str(instrument.fixed.get(names.SPAN_KIND, "span")))
        elif instrument.name_attribute:
            self.name_pair = f'{{"key":{text(instrument.name_attribute)},"value":{{"stringValue":'

    def fixed_for(self, given: Mapping[str, Any]) -> str:
        """The attributes that each span has; without the operation where the span names its own."""
        return self._fixed if OPERATION_KEYS.isdisjoint(given) else self._bare


MIN_INT: Final = -(1 << 63)
MAX_INT: Final = (1 << 63) - 1
_GAPS: Final = {str: '{"stringValue":%s}}', int: '{"intValue":"%d"}}', float: '{"doubleValue":%r}}'}


_NUMBERS: Final = frozenset({int, float, bool})


class _Name(NamedTuple):
    """What is known of an attribute's name: how it is shown, whether a secret stands under it, or content."""

    shown: str
    secret: bool
    content: bool


class _Template(NamedTuple):
    """The JSON of spans of one shape, with gaps: start, name, times, status, values in their order, and the name again where asked."""

    text: str
    name_again: bool


class _Unfit(Exception):
    """A value does not fit the gap for its type: an integer of more than 64 bits, a float without a JSON form."""


def _unfit() -> Value:
    raise _Unfit


OPERATION_KEYS: Final = frozenset({"operation", names.OPERATION})


class Encoder:
    """Encodes spans under one set of rules; keeps small caches of what repeats. For one thread.

    :param redact: mask secrets
    :param capture: what becomes of content: recorded, replaced by ``sha256:<hex> (<n> bytes)``, or left out
    """

    def __init__(self, *, redact: bool = True, capture: Capture = "full") -> None:
        self._redact = redact
        self._secrets = _redaction()
        self._capture = capture
        self._sorts: dict[Sort, _Sort] = {}
        self._names: dict[str, _Name] = {}
        self._templates: dict[tuple[Any, ...], _Template] = {}

    def spans(self, spans: Sequence[SpanRecord]) -> list[str | Exception]:
        """Each span as a JSON object, or the error that kept it from being encoded."""
        suspect = self._redact and self._secrets.is_suspect("\n".join(_texts(spans)))  # one look at all costs less than one at each
        templates = self._templates
        trace: TraceRecord | None = None
        parent = -1
        head = tail = ""
        encoded: list[str | Exception] = []
        for span in spans:
            try:
                if span.rare is None and not (suspect and self._secrets.is_suspect("\n".join(_texts((span,))))):
                    given = span.given
                    template = templates.get((span.instrument, *given, *map(type, given.values())))
                    if template is None:
                        template = self._make_template(span)
                    if template.text:
                        values = [
                            text(value) if type(value) is str else value if MIN_INT <= value <= MAX_INT else _unfit()
                            for value in given.values()
                        ]
                        shown = text(span.name)
                        if template.name_again:
                            values.append(shown)
                        if span.trace is not trace or span.parent_span_id != parent:  # siblings follow each other
                            trace, parent = span.trace, span.parent_span_id
                            head, tail = _around(trace, parent)
                        ended, offset = span.ended, trace.offset
                        ended = ended + offset if ended else 0
                        encoded.append(
                            template.text % (head, span.span_id, tail, shown, span.started + offset, ended, span.status_code, *values)
                        )
                        continue
                encoded.append(self.span(span))
            except _Unfit:
                encoded.append(self._whole(span))
            except Exception as error:
                encoded.append(error)
        return encoded

    def _whole(self, span: SpanRecord) -> str | Exception:
        try:
            return self.span(span)
        except Exception as error:
            return error

    def span(self, span: SpanRecord) -> str:
        """One span as a JSON object."""
        instrument, given = span.instrument, span.given
        sort = self._sort(instrument)
        shown = sort.shown or text(self._text(span.name))
        pairs = [self._pair(instrument.keywords.get(key, key), value) for key, value in given.items()]
        if sort.name_pair and instrument.name_attribute not in given:
            pairs.append(f"{sort.name_pair}{shown}}}}}")
        rest = message = ""
        if span.rare is not None:
            rest = self._rest(span.rare)
            if span.rare.message:
                message = f',"message":{text(self._text(span.rare.message))}'
        trace, ended = span.trace, span.ended
        offset = trace.offset
        head, tail = _around(trace, span.parent_span_id)
        return (
            f'{head}{span.span_id:016x}{tail},"name":{shown},"kind":{sort.otlp_kind},'
            f'"startTimeUnixNano":"{span.started + offset}","endTimeUnixNano":"{ended + offset if ended else 0}",'
            f'"status":{{"code":{span.status_code}{message}}},"attributes":[{",".join(filter(None, [sort.fixed_for(given), *pairs]))}]{rest}}}'
        )

    def _sort(self, instrument: Sort) -> _Sort:
        sort = self._sorts.get(instrument)
        if sort is None:
            if len(self._sorts) >= 10_000:
                self._sorts.clear()
            sort = self._sorts[instrument] = _Sort(instrument, self._capture)
        return sort

    def _make_template(self, span: SpanRecord) -> _Template:
        """The JSON of spans with these keys and types of values, with gaps for ``%``; "" where a value needs more than to be put in.

        Most spans of a program come from a few places in its code and so have a few shapes; filling in takes half the time.
        """
        instrument, given = span.instrument, span.given
        sort = self._sort(instrument)
        types = [type(value) for value in given.values()]
        named = [instrument.keywords.get(key, key) for key in given]
        template = _Template("", False)
        if not sort.shown and set(types) <= _GAPS.keys() and not any(map(self._special, named)):
            pairs = [sort.fixed_for(given).replace("%", "%%")]
            pairs += [f'{{"key":{text(name)},"value":'.replace("%", "%%") + _GAPS[kind] for name, kind in zip(named, types, strict=True)]
            again = bool(sort.name_pair) and instrument.name_attribute not in given
            if again:
                pairs.append(sort.name_pair.replace("%", "%%") + "%s}}")
            template = _Template(
                f'%s%016x%s,"name":%s,"kind":{sort.otlp_kind},"startTimeUnixNano":"%d","endTimeUnixNano":"%d","status":{{"code":%d}},'
                f'"attributes":[{",".join(filter(None, pairs))}]}}',
                again,
            )
        if len(self._templates) >= 10_000:  # names can be data; forget rather than grow
            self._templates.clear()
        self._templates[(instrument, *given, *types)] = template
        return template

    def attributes(self, values: Mapping[str, Value]) -> str:
        """A JSON array of key and value, redacted and captured like a span's."""
        return f"[{','.join(filter(None, [self._pair(name, value) for name, value in values.items()]))}]"

    def _rest(self, rare: RareRecord) -> str:
        rest = ""
        if rare.events:
            rest += f',"events":[{",".join([self._event(event) for event in rare.events])}]'
        if rare.links:
            rest += f',"links":[{",".join([self._link(link) for link in rare.links])}]'
        if rare.dropped_attributes:
            rest += f',"droppedAttributesCount":{rare.dropped_attributes}'
        if rare.dropped_events:
            rest += f',"droppedEventsCount":{rare.dropped_events}'
        return rest

    def _event(self, event: Event) -> str:
        attributes = f',"attributes":{self.attributes(event.attributes)}' if event.attributes else ""
        return f'{{"timeUnixNano":"{event.time_unix_nano}","name":{text(self._text(event.name))}{attributes}}}'

    def _link(self, link: Link) -> str:
        attributes = f',"attributes":{self.attributes(link.attributes)}' if link.attributes else ""
        state = f',"traceState":{text(link.trace_state)}' if link.trace_state else ""
        return f'{{"traceId":"{link.trace_id:032x}","spanId":"{link.span_id:016x}"{state}{attributes}}}'

    def _special(self, name: str) -> bool:
        """Whether what stands under ``name`` is not simply put down."""
        known = self._name(name)
        return known.secret or known.shown != name or (known.content and self._capture != "full")

    def _name(self, name: str) -> _Name:
        known = self._names.get(name)
        if known is None:
            if len(self._names) >= 10_000:  # names can be data; forget rather than grow
                self._names.clear()
            secret = self._redact and self._secrets.is_secret_name(name) and name not in names.BY_NAME
            known = self._names[name] = _Name(self._text(name), secret, is_content(name))
        return known

    def _pair(self, name: str, value: Value) -> str:
        """A pair as it may leave the process; "" when it may not."""
        known = self._name(name)
        if known.content and self._capture != "full":
            return _pair(known.shown, digest(value)) if self._capture == "hash" else ""
        return _pair(known.shown, self._clean(name, value) if known.secret or type(value) not in _NUMBERS else value)

    def _clean(self, name: str, value: Value) -> Value:
        return self._secrets.redact(name, value) if self._redact else value

    def _text(self, value: str) -> str:
        return self._secrets.redact_text(value) if self._redact else value


def _around(trace: TraceRecord, parent: int) -> tuple[str, str]:
    """What stands before and after a span's id: the trace's, and the parent's."""
    tail = f'","parentSpanId":"{parent:016x}"' if parent else '"'
    if trace.state:
        tail += f',"traceState":{text(trace.state)}'
    return f'{{"traceId":"{trace.trace_id:032x}","spanId":"', tail


def _texts(spans: Iterable[SpanRecord]) -> list[str]:
    texts = [value for span in spans for value in span.given.values() if type(value) is str]
    texts += [span.name for span in spans]
    return texts


def trace_line(resource: str, scopes: Mapping[str, Sequence[str]]) -> bytes:
    """One line: an ExportTraceServiceRequest. ``resource`` is the resource's JSON; ``scopes`` maps what :func:`scope` gave to its spans' JSON."""
    parts: list[str] = []
    for scope, spans in scopes.items():
        parts += (
            ",{" if parts else f'{{"resourceSpans":[{{"resource":{resource},"scopeSpans":[{{',
            scope,
            ',"spans":[',
            ",".join(spans),
            "]}",
        )
    parts.append("]}]}\n")
    return line("".join(parts))


def log_line(resource: str, scope: str, record: str) -> bytes:
    """One line: an ExportLogsServiceRequest with one log record."""
    return line(f'{{"resourceLogs":[{{"resource":{resource},"scopeLogs":[{{{scope},"logRecords":[{record}]}}]}}]}}\n')


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
    """A document of one line, its line feed included, as bytes."""
    try:
        return document.encode()
    except UnicodeEncodeError:  # a lone surrogate, which UTF-8 cannot hold
        return document.encode("utf-8", "replace")
