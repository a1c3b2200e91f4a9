"""What a Langfuse project holds, as OTLP/JSON: observations as spans, scores as spans of kind ``evaluation``, with the sessions and users of their traces.

Ids are those of Langfuse, or made from them alone: importing twice changes nothing. Langfuse 4 is read by its cursors (``v2/observations``, ``v3/scores``), an
older one trace by trace (``traces``). After each batch a mark says where to go on.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from clew.connect.langfuse.mapping import otlp_value
from clew.connect.langfuse.rest import Rest, part
from clew.errors import LangfuseError
from clew.model import attributes as names

PAGE: Final = 100
"""Observations or scores of one request; Langfuse gives at most so many of the older interface."""
TRACES_PAGE: Final = 50
_FIELDS: Final = "core,basic,time,io,metadata,model,usage,prompt,metrics,trace_context"
_UNKNOWN: Final = frozenset({400, 404, 405, 410, 501})
"""What a Langfuse answers that does not know an interface."""
SCOPE: Final = "langfuse-import"

_CACHE_READ: Final = (
    "input_cached_tokens",
    "input_cache_read",
    "cache_read_input_tokens",
    "input_cached",
    "input_cached_content",
    "cached_tokens",
)
_CACHE_WRITE: Final = ("input_cache_creation", "cache_creation_input_tokens", "input_cache_write", "cache_write_tokens")
_REASONING: Final = ("output_reasoning_tokens", "output_reasoning", "reasoning_tokens", "thoughts_token_count")
_PARAMETERS: Final = {
    "temperature": names.REQUEST_TEMPERATURE,
    "top_p": names.REQUEST_TOP_P,
    "max_tokens": names.REQUEST_MAX_TOKENS,
    "seed": names.REQUEST_SEED,
}


@dataclass(frozen=True, slots=True)
class Batch:
    """One step of an import.

    :ivar lines: OTLP/JSON, a line for each trace of the step
    :ivar mark: what :func:`batches` takes to go on behind it
    :ivar faults: what could not be read, a text for each; it is left out
    """

    lines: bytes
    observations: int
    scores: int
    mark: dict[str, Any]
    faults: tuple[str, ...] = ()


def batches(rest: Rest, *, since: str | None = None, until: str | None = None, mark: Mapping[str, Any] | None = None) -> Iterator[Batch]:
    """Everything of the project, step by step.

    :param since: ISO 8601; observations that started, and scores that were given, from then on; likewise ``until``
    :param mark: of the last step that was taken in; None: from the beginning
    :raises LangfuseError: refused; a later call with the mark goes on
    """
    mark = dict(mark or {})
    if mark.get("way", "cursor") == "cursor":
        began = "way" in mark
        try:
            for batch in _by_cursor(rest, since, until, mark):
                began = True
                yield batch
            return
        except LangfuseError as error:
            if began or error.status not in _UNKNOWN:
                raise
    yield from _by_trace(rest, since, until, {"way": "traces", **mark})


def _by_cursor(rest: Rest, since: str | None, until: str | None, mark: dict[str, Any]) -> Iterator[Batch]:
    stage = mark.get("stage", "observations")
    cursor = mark.get("cursor")
    roots: dict[str, str] = {}
    while stage == "observations":
        page = rest.get(
            "v2/observations",
            fields=_FIELDS,
            expandMetadata="attributes",
            limit=PAGE,
            cursor=cursor,
            fromStartTime=since,
            toStartTime=until,
        )
        found = page["data"]
        for observation in found:
            if observation.get("isRootObservation") or not observation.get("parentObservationId"):
                roots.setdefault(str(observation.get("traceId")), str(observation["id"]))
        cursor = (page.get("meta") or {}).get("cursor")
        stage = "observations" if cursor else "scores"
        lines, faults = _lines(found, [], {}, roots)
        yield Batch(lines, len(found), 0, {"way": "cursor", "stage": stage, "cursor": cursor}, tuple(faults))
    while stage == "scores":
        page = rest.get("v3/scores", fields="subject,details", limit=PAGE, cursor=cursor, fromTimestamp=since, toTimestamp=until)
        cursor = (page.get("meta") or {}).get("cursor")
        stage = "scores" if cursor else "done"
        lines, faults = _lines([], page["data"], {}, roots)
        yield Batch(lines, 0, len(page["data"]), {"way": "cursor", "stage": stage, "cursor": cursor}, tuple(faults))


def _by_trace(rest: Rest, since: str | None, until: str | None, mark: dict[str, Any]) -> Iterator[Batch]:
    """Ordered by time, so that pages do not shift while new traces arrive; goes on at the time of the last trace."""
    page = int(mark.get("page", 1))
    while mark.get("stage") != "done":
        listed = rest.get(
            "traces", page=page, limit=TRACES_PAGE, orderBy="timestamp.asc", fromTimestamp=mark.get("since", since), toTimestamp=until
        )
        lines: list[bytes] = []
        faults: list[str] = []
        observations = scores = 0
        for trace in listed["data"]:
            whole = rest.get(f"traces/{part(str(trace['id']))}")
            given = [item for item in whole.get("observations") or () if isinstance(item, Mapping)]
            judged = [item for item in whole.get("scores") or () if isinstance(item, Mapping)]
            observations, scores = observations + len(given), scores + len(judged)
            roots = {str(trace["id"]): str(item["id"]) for item in reversed(given) if not item.get("parentObservationId")}
            made, wrong = _lines(given or [_root(whole)], judged, {str(trace["id"]): whole}, roots)
            lines.append(made)
            faults += wrong
        page += 1
        done = page > int(listed["meta"]["totalPages"])
        mark = {"way": "traces", "stage": "done" if done else "traces", "page": page, "since": mark.get("since", since)}
        yield Batch(b"".join(lines), observations, scores, mark, tuple(faults))


def _root(trace: Mapping[str, Any]) -> dict[str, Any]:
    """A trace without observations, as one."""
    return {
        **{key: trace.get(key) for key in ("name", "input", "output", "metadata")},
        "id": trace["id"],
        "traceId": trace["id"],
        "type": "SPAN",
        "startTime": trace["timestamp"],
    }


def _lines(
    observations: Iterable[Mapping[str, Any]],
    scores: Iterable[Mapping[str, Any]],
    traces: Mapping[str, Mapping[str, Any]],
    roots: Mapping[str, str],
) -> tuple[bytes, list[str]]:
    """A line for each trace, and what could not be read."""
    spans: dict[str, list[dict[str, Any]]] = defaultdict(list)
    faults: list[str] = []
    for observation in observations:
        try:
            trace_id = str(observation.get("traceId") or observation["id"])
            spans[trace_id].append(_span(observation, trace_id, traces.get(trace_id, {})))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            faults.append(f"observation {observation.get('id')}: {type(error).__name__}: {error}")
    for score in scores:
        try:
            made = _evaluation(score, roots)
            if made is not None:
                spans[made[0]].append(made[1])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            faults.append(f"score {score.get('id')}: {type(error).__name__}: {error}")
    return b"".join(json.dumps(_request(found), separators=(",", ":")).encode() + b"\n" for found in spans.values() if found), faults


def _request(spans: list[dict[str, Any]]) -> dict[str, Any]:
    by_service: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for span in spans:
        by_service[span.pop("service")].append(span)
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": names.SERVICE_NAME, "value": {"stringValue": service}}]},
                "scopeSpans": [{"scope": {"name": SCOPE}, "spans": found}],
            }
            for service, found in by_service.items()
        ]
    }


def _span(observation: Mapping[str, Any], trace_id: str, trace: Mapping[str, Any]) -> dict[str, Any]:
    metadata = _parsed(observation.get("metadata"))
    metadata = dict(metadata) if isinstance(metadata, Mapping) else {"metadata": metadata} if metadata else {}
    theirs, resource = _mapping(metadata.pop("attributes", None)), _mapping(metadata.pop("resourceAttributes", None))
    metadata.pop("scope", None)
    start, end = _ns(observation["startTime"]), _ns(observation.get("endTime") or observation["startTime"])
    first = observation.get("completionStartTime")
    parameters = _mapping(observation.get("modelParameters"))
    provided = _mapping(observation.get("providedCostDetails"))
    found: dict[str, Any] = {
        **theirs,
        "langfuse.observation.type": str(observation.get("type") or "span").lower(),
        "langfuse.observation.model.name": observation.get("model"),
        "langfuse.observation.input": _shown(observation.get("input")),
        "langfuse.observation.output": _shown(observation.get("output")),
        "langfuse.observation.metadata": _shown(metadata) if metadata else None,
        "langfuse.observation.level": observation.get("level"),
        "langfuse.observation.model.parameters": _shown(parameters) if parameters else None,
        "langfuse.observation.cost_details": _shown(details) if (details := _mapping(observation.get("costDetails"))) else None,
        "langfuse.trace.name": observation.get("traceName") or trace.get("name"),
        "langfuse.trace.tags": observation.get("tags") or trace.get("tags") or None,
        "langfuse.environment": observation.get("environment"),
        "langfuse.release": observation.get("release") or trace.get("release"),
        "langfuse.version": observation.get("version"),
        names.CONVERSATION_ID: observation.get("sessionId") or trace.get("sessionId"),
        names.USER_ID: observation.get("userId") or trace.get("userId"),
        names.PROMPT_NAME: observation.get("promptName"),
        names.PROMPT_VERSION: None if observation.get("promptVersion") is None else str(observation["promptVersion"]),
        names.RESPONSE_FIRST_CHUNK: (_ns(first) - start) / 1e9 if first else None,
        names.COST_USD: _figure(provided.get("total")),
        **{key: parameters[name] for name, key in _PARAMETERS.items() if isinstance(parameters.get(name), (int, float))},
        **_usage(_mapping(observation.get("usageDetails"))),
    }
    failed = observation.get("level") == "ERROR"
    span = {
        "traceId": _id(trace_id, 32),
        "spanId": _id(str(observation["id"]), 16),
        "name": observation.get("name") or trace.get("name") or str(observation.get("type") or "span").lower(),
        "kind": 1,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(max(end, start)),
        "attributes": [{"key": key, "value": otlp_value(value)} for key, value in found.items() if value is not None],
        "status": {"code": 2, "message": observation.get("statusMessage") or ""} if failed else {"code": 0},
        "service": str(resource.get(names.SERVICE_NAME) or "langfuse"),
    }
    if parent := observation.get("parentObservationId"):
        span["parentSpanId"] = _id(str(parent), 16)
    return span


def _evaluation(score: Mapping[str, Any], roots: Mapping[str, str]) -> tuple[str, dict[str, Any]] | None:
    """A score of a trace or an observation; those of sessions and runs belong to no trace."""
    subject = _mapping(score.get("subject"))
    kind = str(subject.get("kind") or "").lower()
    trace_id = score.get("traceId") or subject.get("traceId") or (subject.get("id") if kind == "trace" else None)
    observation_id = score.get("observationId") or (subject.get("id") if kind == "observation" else None)
    if not trace_id:
        return None
    value, label = score.get("value"), score.get("stringValue")
    if isinstance(value, str):
        value, label = None, value
    at = _ns(score.get("timestamp") or score["createdAt"])
    found = {
        names.SPAN_KIND: "evaluation",
        names.EVALUATION_NAME: score["name"],
        names.EVALUATION_VALUE: None if value is None else float(value),
        names.EVALUATION_LABEL: label,
        names.EVALUATION_REASON: score.get("comment"),
        names.EVALUATION_OF: _id(str(observation_id), 16) if observation_id else None,
        "langfuse.score.source": score.get("source"),
    }
    above = observation_id or roots.get(str(trace_id))
    span = {
        "traceId": _id(str(trace_id), 32),
        "spanId": _id(f"score/{score['id']}", 16),
        "name": score["name"],
        "kind": 1,
        "startTimeUnixNano": str(at),
        "endTimeUnixNano": str(at),
        "attributes": [{"key": key, "value": otlp_value(value)} for key, value in found.items() if value is not None],
        "status": {"code": 1},
        "service": "langfuse",
        **({"parentSpanId": _id(str(above), 16)} if above else {}),
    }
    return str(trace_id), span


def _usage(details: Mapping[str, Any]) -> dict[str, Any]:
    """Langfuse's classes do not overlap, but a sender may have told the whole beside its parts: the source's own total says which."""
    incoming, outgoing, total = (_count(details.get(name)) for name in ("input", "output", "total"))
    read, write, reasoning = (_sum(details, known) for known in (_CACHE_READ, _CACHE_WRITE, _REASONING))
    if incoming is None and outgoing is None and read is None and reasoning is None:
        return {}
    apart = total is None or total != (incoming or 0) + (outgoing or 0)
    if apart:
        incoming = None if incoming is None and read is None and write is None else (incoming or 0) + (read or 0) + (write or 0)
        outgoing = None if outgoing is None and reasoning is None else (outgoing or 0) + (reasoning or 0)
    return {
        names.INPUT_TOKENS: incoming,
        names.OUTPUT_TOKENS: outgoing,
        names.CACHE_READ_TOKENS: read,
        names.CACHE_WRITE_TOKENS: write,
        names.REASONING_TOKENS: reasoning,
        names.USAGE_SOURCE: "provider",
        names.USAGE_RAW: _shown(details),
    }


def _sum(details: Mapping[str, Any], known: tuple[str, ...]) -> int | None:
    found = [count for name in known if (count := _count(details.get(name))) is not None]
    return sum(found) if found else None


def _count(value: Any) -> int | None:
    number = _figure(value)
    return int(number) if number is not None and number >= 0 else None


def _figure(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _id(given: str, digits: int) -> str:
    """OpenTelemetry's id as it is, a UUID without its dashes; any other id is hashed."""
    folded = given.lower().replace("-", "")
    if len(folded) == digits and all(character in "0123456789abcdef" for character in folded) and set(folded) != {"0"}:
        return folded
    return hashlib.sha256(given.encode()).hexdigest()[:digits]


def _ns(when: Any) -> int:
    """Nanoseconds since 1970 of a time as Langfuse gives it."""
    parsed = datetime.fromisoformat(str(when).replace("Z", "+00:00"))
    return int(parsed.timestamp()) * 1_000_000_000 + parsed.microsecond * 1_000


def _parsed(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _mapping(value: Any) -> dict[str, Any]:
    found = _parsed(value)
    return dict(found) if isinstance(found, Mapping) else {}


def _shown(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)
