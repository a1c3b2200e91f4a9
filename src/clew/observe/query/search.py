"""Search over spans in the filter language (filter.py): the fields it knows, and where they are in the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from clew.cost.tariff import Tariff, cost
from clew.model.kinds import KINDS
from clew.model.usage import Usage
from clew.observe.query import cursor
from clew.observe.query.filter import And, Node, Term, Text, all_of, leaves, parse
from clew.observe.query.filter_sql import AttributeKind, AttributeOperator, Bind, Condition, Field, TextSearch, compile, no_text
from clew.observe.store.fingerprint import FINGERPRINT
from clew.observe.store.normalise import DAY, DURATION, NEWEST_FIRST, NUMBER
from clew.observe.store.prices import Named, tariffs
from clew.observe.store.pricing import MAY_COST
from clew.observe.store.settle import RANK
from clew.observe.store.store import Store

_MODEL = "if(response_model != '', response_model, request_model)"
_IS_MODEL = "((response_model = {value} AND response_model != '') OR (response_model = '' AND request_model = {value}))"
_AGENT = "multiIf(span_records.agent != '', span_records.agent, span_records.kind = 'agent', span_records.name, '')"
_STATE = "multiIf(end_ns > 0, 'ended', process IN (SELECT process FROM processes), 'lost', 'running')"

FIELDS: dict[str, Field] = {
    field.name: field
    for field in (
        Field("kind", "toString(kind)", "enum", KINDS, help="Kind of span", equals="span_records.kind = {value}"),
        Field("name", "name", "text", help="Name of the span"),
        Field("status", "toString(status)", "enum", ("ok", "error", "unset"), help="How it ended", equals="span_records.status = {value}"),
        Field("state", f"({_STATE})", "enum", ("ended", "running", "lost"), help="Whether it has ended; lost when its process died before"),
        Field("service", "service", "text", help="Program that recorded it"),
        Field(
            "agent",
            "agent",
            "text",
            help="Agent it belongs to: its own name, or the nearest agent above",
            table="settled FINAL",
            own=_AGENT,
        ),
        Field("model", f"({_MODEL})", "text", help="Model that answered, or was asked", equals=_IS_MODEL),
        Field("provider", "provider", "text", help="Provider of the model"),
        Field("tool", "tool", "text", help="Tool"),
        Field("workflow", "workflow", "text", help="Workflow"),
        Field("persona", "persona", "text", help="Persona"),
        Field("session", "session_id", "text", help="Session, where the span itself names it"),
        Field("user", "user_id", "text", help="End user"),
        Field("error", "error_type", "text", help="Class of the error, such as an exception's type, rate_limit or timeout"),
        Field("message", "status_message", "text", help="Message of the error"),
        Field("fingerprint", FINGERPRINT, "text", help="Group of failures with one class and one message, as clew errors lists them"),
        Field("run", "trace_id", "text", help="Run; a shortened id ends in *"),
        Field("span", "span_id", "text", help="Span id"),
        Field("parent", "parent_span_id", "text", help="Id of the parent span"),
        Field("scope", "scope_name", "text", help="Instrumentation that made it"),
        Field("start", "start_ns", "time", help="When it started"),
        Field("duration", f"({DURATION})", "duration_ns", help="How long it took"),
        Field("cost", "cost_usd", "usd", help="Cost in USD of a model call", table="model_calls"),
        Field(
            "tokens",
            "(toFloat64(input_tokens) + output_tokens)",
            "number",
            help="Input and output tokens of a model call",
            table="model_calls",
        ),
        Field("input_tokens", "toFloat64(input_tokens)", "number", help="Input tokens of a model call", table="model_calls"),
        Field("output_tokens", "toFloat64(output_tokens)", "number", help="Output tokens of a model call", table="model_calls"),
        Field("cache_read_tokens", "toFloat64(cache_read_tokens)", "number", help="Input tokens read from the provider's cache"),
        Field("reasoning_tokens", "toFloat64(reasoning_tokens)", "number", help="Output tokens spent on reasoning"),
    )
}


@dataclass(frozen=True, slots=True)
class Hit:
    """One span that was found. Tokens and cost stand only on model calls."""

    run_id: str
    span_id: str
    kind: str
    name: str
    service: str
    agent: str
    model: str
    tool: str
    status: str
    state: str
    status_message: str
    error: str
    """Class of the error, such as an exception's type, rate_limit or timeout; '' for none."""
    start_ns: int
    duration_ns: int | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None


@dataclass(frozen=True, slots=True)
class Hits:
    """The newest spans that match."""

    hits: list[Hit]
    """Newest first."""
    more: bool
    """Whether the list was cut at the limit."""
    next: str | None = None
    """The cursor of the next page, when there is more."""


def search(store: Store, text: str, *, limit: int = 50, after: str | None = None) -> Hits:
    """The newest ``limit`` spans that match the filter; an empty filter matches every span.

    :param after: cursor; only what comes after the page that gave it
    :raises FilterError: the filter does not parse; points at the character
    :raises QueryError: ``after`` is no cursor
    """
    page: dict[str, Any] = {"ask": limit + 1}
    where = "1"
    if after is not None:
        page["at_ns"], page["at_span"], page["at_trace"] = cursor.read(after, tuple[int, str, str])
        where = AFTER
    if (found := _among_judged(store, parse(text), where, page)) is not None:
        return _page(found, limit)
    texts = _Texts(store, where, page)
    condition = condition_of(store, text, texts=texts)
    if (newest := texts.newest) is not None:
        # What is common is most likely found among the newest; if not, everything is searched.
        recent = {**page, **condition.parameters, **newest}
        candidates = _candidates(store, f"start_ns > {{since:UInt64}} AND {where} AND {condition.sql}", recent)
        if len(hits := _present(store, candidates)) > limit:
            return _page(hits, limit)
        condition = condition_of(store, text, texts=texts.everywhere())
    while True:
        candidates = _candidates(store, f"{where} AND {condition.sql}", {**page, **condition.parameters})
        hits = _present(store, candidates)
        if len(hits) > limit or len(candidates) < page["ask"]:
            return _page(hits, limit)
        page["ask"] *= 4


def _among_judged(store: Store, node: Node, where: str, page: Mapping[str, Any]) -> list[Hit] | None:
    """The hits among the newest spans that match what the filter says of the spans themselves: first among few, then among as many as the
    share of hits in these lets expect to be enough; None when they are not, or the filter asks for nothing that a span has from above, such
    as the nearest agent, or for something that is far away too.

    What spans have from above stands in ``settled``, of which all would be read; of a few spans it is found at once.
    """
    asked = [*leaves(node)]
    far = [leaf for leaf in asked if isinstance(leaf, Text) or ((field := _field(leaf)) is not None and field.table and not field.own)]
    if far or not any(map(_is_inherited, asked)):
        return None
    now = datetime.now(UTC)
    nodes = node.nodes if isinstance(node, And) else (node,)
    near = compile(all_of(one for one in nodes if not _asks_above(one)), FIELDS, now=now, text=no_text("a span"), attribute=attribute)
    fields_ = {name: replace(field, table=_JUDGED) if field.own else field for name, field in FIELDS.items()}
    whole = compile(node, fields_, now=now, text=no_text("a span"), attribute=attribute)
    most, ask = _JUDGED_FIRST, page["ask"]
    while True:
        [(count, since, day, numbers)] = store.query(
            f"SELECT count(), min(start_ns), min(day), groupUniqArray({NUMBER}) FROM (SELECT trace_id, span_id, start_ns, {DAY} AS day "
            f"FROM span_records WHERE {where} AND {near.sql} ORDER BY {NEWEST_FIRST} LIMIT {most})",
            {**page, **near.parameters},
        ).result_rows
        are_all = count < most
        given = {"judged": numbers, "judged_since": 0 if are_all else since + 1, "judged_day": day}
        condition = f"{where} AND start_ns >= {{judged_since:UInt64}} AND {whole.sql}"
        candidates = _candidates(store, condition, {**page, **whole.parameters, **given})
        if len(candidates) == ask or are_all:
            hits = _present(store, candidates)
            if len(hits) == ask or len(candidates) < ask:
                return hits
        if are_all or most == _JUDGED_MOST:
            return None
        most = min(_JUDGED_MOST, 3 * most * ask // (2 * len(candidates) or 1))


def _field(leaf: Node) -> Field | None:
    return FIELDS.get(leaf.name) if isinstance(leaf, Term) and not leaf.attribute else None


def _is_inherited(leaf: Node) -> bool:
    field = _field(leaf)
    return field is not None and field.own != ""


def _asks_above(node: Node) -> bool:
    return any(map(_is_inherited, leaves(node)))


_JUDGED_FIRST, _JUDGED_MOST = 5000, 40_000
"""Newest spans that are looked at first where agents above them are asked for, fifty times a page, and at last."""
_JUDGED = (
    "(SELECT trace_id, span_id, argMax(agent, settled_ns) AS agent FROM settled "
    f"WHERE day >= {{judged_day:Date}} AND {NUMBER} IN {{judged:Array(UInt64)}} GROUP BY trace_id, span_id)"
)
"""What is settled of them, in place of all."""


def _candidates(store: Store, where: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """Without FINAL the indexes answer, and reading ends with the last candidate; versions that another replaces are left out later."""
    return store.rows(
        f"SELECT {_CANDIDATE} FROM span_records WHERE {where} ORDER BY {NEWEST_FIRST}, span_id, trace_id, version DESC "
        "LIMIT {ask:UInt64} SETTINGS read_in_order_use_buffering = 0",
        parameters,
    )


def _page(hits: list[Hit], limit: int) -> Hits:
    page, more = hits[:limit], len(hits) > limit
    return Hits(page, more, cursor.write(page[-1].start_ns, page[-1].span_id, page[-1].run_id) if more else None)


AFTER = """start_ns <= {at_ns:Int64} AND (start_ns < {at_ns:Int64} OR (span_id, trace_id) > ({at_span:String}, {at_trace:String}))"""


def arrived(store: Store, text: str, *, first_ns: int, last_ns: int, limit: int = 500) -> Hits:
    """The spans that match the filter and arrived between these times, both included, newest first. Parts of the table that are older are
    not read. Until its trace is settled, a span may carry usage that turns out to repeat that of its descendants.

    :raises FilterError: the filter does not parse; points at the character
    """
    condition = condition_of(store, text)
    candidates = store.rows(
        f"SELECT {_CANDIDATE} FROM span_records WHERE {ARRIVED} AND {condition.sql} ORDER BY start_ns DESC, span_id, trace_id, version DESC "
        "LIMIT {ask:UInt64}",
        {**condition.parameters, "first_ns": first_ns, "last_ns": last_ns, "ask": limit + 1},
    )
    return Hits(_present(store, candidates[:limit]), len(candidates) > limit)


ARRIVED = "arrival_ns BETWEEN {first_ns:UInt64} AND {last_ns:UInt64}"


def count(store: Store, text: str) -> int:
    """How many spans match the filter, each span once. Unlike a page of them it reads all that the filter's times do not rule out.

    :raises FilterError: the filter does not parse; points at the character
    """
    condition = condition_of(store, text)
    return int(store.value(f"SELECT count() FROM span_records FINAL WHERE {condition.sql}", condition.parameters))


def _present(store: Store, candidates: Sequence[dict[str, Any]]) -> list[Hit]:
    """The candidates that are the present version of their span, in full."""
    if not candidates:
        return []
    where = {
        "traces": sorted({row["run_id"] for row in candidates}),
        "spans": sorted({row["span_id"] for row in candidates}),
        "first": min(row["start_ns"] for row in candidates),
        "last": max(row["start_ns"] for row in candidates),
        "day": datetime.fromtimestamp(min(row["version"] & _ARRIVAL for row in candidates) // 1_000_000_000, UTC).date(),
    }
    verdicts = store.readers.submit(store.rows, _SETTLED, where)
    may_cost = any(row["may_cost"] for row in candidates)
    prices = store.readers.submit(tariffs, store) if may_cost else None
    present: dict[tuple[str, str], dict[str, Any]] = {}
    versions = store.rows(_versions(_VERSION + COSTS if may_cost else _VERSION), where)
    for row in sorted(versions, key=lambda row: (_rank(row), row["retired"])):
        present[row["trace_id"], row["span_id"]] = row
    settled = {(row["trace_id"], row["span_id"]): row for row in sorted(verdicts.result(), key=itemgetter("settled_ns"))}
    known = prices.result() if prices else {}
    hits = {}
    for row in candidates:
        key = (row["run_id"], row["span_id"])
        if _rank(row) == _rank(present[key]) and not present[key]["retired"]:
            hits[key] = _hit(row | present[key], settled.get(key, _UNSETTLED), known)
    return list(hits.values())


_rank = itemgetter(*RANK)


def _hit(row: dict[str, Any], verdict: dict[str, Any], known: dict[Named, Tariff]) -> Hit:
    is_call = row["may_cost"] and not verdict["shadowed"]
    values: dict[str, Any] = row | {
        "agent": row["agent"] or verdict["agent"],
        "input_tokens": row["input_tokens"] if is_call else None,
        "output_tokens": row["output_tokens"] if is_call else None,
        "cost_usd": cost_of(row, known) if is_call else None,
    }
    return Hit(**{field.name: values[field.name] for field in fields(Hit)})


def cost_of(row: dict[str, Any], known: dict[Named, Tariff]) -> float | None:
    """Cost in USD of a call, a row with COSTS and ``start_ns``: as the view model_calls has it, which takes ten times as long to plan."""
    if row["cache_hit"]:
        return 0.0
    if row["reported_cost_usd"] is not None:
        return float(row["reported_cost_usd"])
    tariff = known.get((row["provider"], row["request_model"], row["response_model"]))
    usage = Usage(**{name: row[name] for name in _USAGE})
    if tariff is None or (usage.input_tokens is None and usage.output_tokens is None):
        return None
    return cost(usage, tariff, datetime.fromtimestamp(row["start_ns"] // 1_000_000_000, UTC))


def condition_of(store: Store, text: str, *, now: datetime | None = None, texts: TextSearch | None = None) -> Condition:
    """The filter as SQL over ``span_records``.

    :raises FilterError: it does not parse
    """
    return compile(parse(text), FIELDS, now=now or datetime.now(UTC), text=texts or _Texts(store), attribute=attribute)


def words(place: str, is_phrase: bool) -> str:
    """True of a payload that holds the words; the full-text index answers."""
    return f"hasAllTokens(if(indexed, value, ''), {place})" + (f" AND positionCaseInsensitiveUTF8(value, {place}) > 0" if is_phrase else "")


def seen(place: str) -> str:
    """True of a span whose name or error message holds the text: there are few different ones, which are looked at one by one."""
    return f"positionCaseInsensitiveUTF8(name, {place}) > 0 OR positionCaseInsensitiveUTF8(status_message, {place}) > 0"


_FEW = 1000
"""Pieces of content, and traces, up to which a search goes to where they are."""
_COMMON = 100_000
"""Pieces of content from which on collecting them all takes longer than to look for them in the newest traces first."""
_RECENT = 1000
"""Spans that are looked at first for what is common: twenty times a page."""


class _Texts:
    """Text as a condition: what is rare is where the full-text index says; of what is common, the newest spans have enough.

    :param page: condition on the spans, with its parameters, that the newest are taken of; None: look everywhere
    """

    def __init__(self, store: Store, page: str | None = None, parameters: dict[str, Any] | None = None) -> None:
        self._store = store
        self._page = page
        self._parameters = parameters or {}
        self._pieces: dict[str, int] = {}
        """How many pieces of content hold a text's words."""
        self.newest: dict[str, Any] | None = None
        """The newest traces, and the time after which they are all; None: the conditions hold everywhere."""

    def __call__(self, text: str, is_phrase: bool, bind: Bind) -> str:
        place = bind("String", text)
        if text not in self._pieces:
            found = words("{text:String}", False)
            self._pieces[text] = int(self._store.value(f"SELECT count() FROM payloads WHERE {found}", {"text": text}))
        if self._pieces[text] < _FEW and (rare := self._rare(text, is_phrase, place, bind)):
            return rare
        within = ""
        if self._pieces[text] >= _COMMON and self._page is not None:
            self.newest = self.newest or self._read_newest()
            within = "trace_id IN {newest:Array(String)} AND "
        held = words(place, is_phrase)
        return f"(arrayExists(h -> h IN (SELECT hash FROM payloads WHERE {within}{held}), mapValues(contents)) OR {seen(place)})"

    def everywhere(self) -> _Texts:
        """The same of all spans, with what is known of the texts."""
        texts = _Texts(self._store)
        texts._pieces = self._pieces
        return texts

    def _rare(self, text: str, is_phrase: bool, place: str, bind: Bind) -> str | None:
        """The condition by the places where the text is; None: they are not few."""
        given = {"text": text, "few": _FEW}
        named = self._store.readers.submit(
            self._store.query, f"SELECT DISTINCT trace_id FROM span_records WHERE {seen('{text:String}')} LIMIT {{few:UInt64}}", given
        )
        held = self._store.query(
            f"SELECT trace_id, hash FROM payloads WHERE {words('{text:String}', is_phrase)} SETTINGS max_threads = 1", given
        ).result_rows
        also = sorted(trace for (trace,) in named.result().result_rows)
        if len(also) >= _FEW:
            return None
        traces = bind("Array(String)", sorted({trace for trace, _ in held}))
        hashes = bind("Array(UInt64)", sorted({hash_ for _, hash_ in held}))
        condition = f"(trace_id IN {traces} AND hasAny(mapValues(contents), {hashes}))"
        return f"({condition} OR (trace_id IN {bind('Array(String)', also)} AND ({seen(place)})))" if also else condition

    def _read_newest(self) -> dict[str, Any]:
        [(traces, since)] = self._store.query(
            "SELECT groupUniqArray(trace_id), min(start_ns) FROM "
            f"(SELECT trace_id, start_ns FROM span_records WHERE {self._page} ORDER BY {NEWEST_FIRST} LIMIT {_RECENT})",
            self._parameters,
        ).result_rows
        return {"newest": traces, "since": since}


_PAIRS = "arrayMap((k, v) -> concat(k, '=', v), mapKeys(attributes), mapValues(attributes))"
"""As the index on span_records has it."""


def attribute(key: str, operator: AttributeOperator, value: str | None, kind: AttributeKind | None) -> str:
    """Equality is asked of the index, where each attribute stands as key=value; a number's text is the same whatever its type."""
    held = f"attributes[{key}]"
    if operator == "present":
        return f"(mapContains(attributes, {key}) OR mapContains(contents, {key}))"
    if operator == "=":
        text = {"text": value, "number": f"toString({value})", "bool": f"if({value}, 'true', 'false')"}[kind or "text"]
        return f"has({_PAIRS}, concat({key}, '=', {text}))"
    if operator == "like":
        return f"(mapContains(attributes, {key}) AND {held} LIKE {value})"
    return f"toFloat64OrNull({held}) {operator} {value}"


_USAGE = tuple(field.name for field in fields(Usage))

_CANDIDATE = f"""trace_id AS run_id, span_id, version, content_hash, toString(kind) AS kind, name, service,
    {_AGENT} AS agent, {_MODEL} AS model, tool, toString(status) AS status, {_STATE} AS state, status_message, toString(error_type) AS error, start_ns, {DURATION} AS duration_ns,
    {MAY_COST} AS may_cost"""
"""What the span itself says of a hit."""

_OF_CANDIDATES = "trace_id IN {traces:Array(String)} AND span_id IN {spans:Array(String)}"
_SETTLED = (
    "SELECT trace_id, span_id, toString(agent) AS agent, shadowed, settled_ns FROM settled "
    f"WHERE {_OF_CANDIDATES} AND day >= {{day:Date}} SETTINGS max_threads = 1"
)
"""Every verdict on them; the last holds. It goes with the day on which the span arrived; stores of earlier versions may have a later one."""
_ARRIVAL = (1 << 63) - 1
"""The bits of a version that are the time of arrival."""
_UNSETTLED: dict[str, Any] = {"agent": "", "shadowed": False}

_VERSION = ("trace_id", "span_id", *RANK, "retired")
COSTS = ("provider", "request_model", "response_model", "cache_hit", "reported_cost_usd", *_USAGE)
"""What a hit costs is made of; read only where one may."""


def _versions(columns: Iterable[str]) -> str:
    """Every version of the candidates that the table still holds."""
    return f"""SELECT {", ".join(columns)} FROM span_records
        WHERE start_ns BETWEEN {{first:UInt64}} AND {{last:UInt64}} AND {_OF_CANDIDATES}"""
