"""A record in memory, with ids that count and a clock that a test moves."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clew.model.kinds import Status
from clew.record import guard, propagation, state
from clew.record.processor import Processor
from clew.record.recorder import Recorder, Settings
from clew.record.stats import Stats

START_NS = 1_700_000_000_000_000_000
"""When the clock of a test starts: 2023-11-14T22:13:20Z."""
_STATUS: tuple[Status, ...] = ("unset", "ok", "error")


class Clock:
    """A clock that stands still until a test moves it; every reading moves it by ``step_ns``, so that no two times are equal."""

    def __init__(self, step_ns: int = 1_000) -> None:
        self.step_ns = step_ns
        self._now = 0

    def __call__(self) -> int:
        self._now += self.step_ns
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += round(seconds * 1e9)


class _Ids:
    def __init__(self) -> None:
        self._last = 0

    def __call__(self, bits: int) -> int:
        self._last += 1
        return self._last


@dataclass(frozen=True)
class RecordedSpan:
    """A span as it went out: redacted, captured, encoded and decoded again. Ids are hex, times nanoseconds, an open span ends at 0."""

    name: str
    kind: str
    status: Status
    message: str
    trace_id: str
    span_id: str
    parent_span_id: str | None
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    events: list[dict[str, Any]] = field(default_factory=list)
    links: list[dict[str, Any]] = field(default_factory=list)
    scope: str = "clew"


class Recording:
    """What was recorded; complete after each :meth:`flush`, and when the ``with`` is left."""

    def __init__(self, recorder: Recorder, lines: _Lines, clock: Clock) -> None:
        self.clock = clock
        self._recorder = recorder
        self._lines = lines

    @property
    def lines(self) -> list[bytes]:
        """The lines that would be in the spool."""
        self.flush()
        return list(self._lines.lines)

    @property
    def spans(self) -> list[RecordedSpan]:
        """Spans that have ended, in the order of their start."""
        return sorted([span for span in self._all() if span.end_ns], key=lambda span: span.start_ns)

    @property
    def starts(self) -> list[RecordedSpan]:
        """Start records, in the order they were written."""
        return [span for span in self._all() if not span.end_ns]

    def span(self, name: str) -> RecordedSpan:
        """The one ended span of that name.

        :raises LookupError: there is none, or more than one
        """
        found = [span for span in self.spans if span.name == name]
        if len(found) != 1:
            raise LookupError(f"{len(found)} spans are named {name!r}; recorded are {[span.name for span in self.spans]}")
        return found[0]

    def tree(self) -> list[str]:
        """One line per ended span, ``kind name``, indented under its parent; failed ones end in ``!``."""
        spans = self.spans
        known = {span.span_id for span in spans}
        shown: list[str] = []

        def show(parent: str | None, depth: int) -> None:
            for span in spans:
                under = span.parent_span_id if span.parent_span_id in known else None
                if under == parent:
                    shown.append(f"{'  ' * depth}{span.kind} {span.name}{' !' if span.status == 'error' else ''}")
                    show(span.span_id, depth + 1)

        show(None, 0)
        return shown

    def flush(self) -> None:
        """Write what has ended, and a start record for what is open."""
        self._recorder.flush()

    def stats(self) -> Stats:
        """The account."""
        return self._recorder.stats()

    def _all(self) -> list[RecordedSpan]:
        return [span for line in self.lines for span in decode(line)]


class _Lines:
    """A sink that keeps lines."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def write(self, line: bytes, spans: int, *, starts: bool) -> str | None:
        self.lines.append(line)
        return None

    def close(self, timeout: float) -> None:
        return None

    def abandon(self) -> None:
        self.lines = []


@contextmanager
def recording(*, processors: Sequence[Processor] = (), clock: Clock | None = None, **settings: Any) -> Iterator[Recording]:
    """Record into memory while the ``with`` is open, whatever the settings of the process; then as before.

    A fault of the recorder is raised here instead of logged. Ids count from 1.

    :param settings: as for :func:`clew.init`
    """
    clock = clock or Clock()
    given = {"data_dir": Path("unused"), "service": "test", "spool": False, "disabled": False, "console": False, **settings}
    given = {"budget_ledger": Path(":memory:"), **given}
    lines = _Lines()
    recorder = Recorder(
        Settings.read(given),
        sinks=[lines],
        processors=processors,
        now=clock,
        wall=lambda: START_NS + clock._now,
        bits=_Ids(),
        threaded=False,
    )
    recorder.parent = None
    before, before_off, raising = state.recorder, state.off, guard.raising
    state.use(recorder)
    guard.raising = True
    if recorder.settings.propagate:
        propagation.install()
    try:
        yield Recording(recorder, lines, clock)
        recorder.flush()
    finally:
        guard.raising = raising
        state.use(before)
        if before is None and not before_off:
            state.forget()


def decode(line: bytes) -> list[RecordedSpan]:
    """The spans of one line of the spool; none for a line of logs."""
    document = json.loads(line)
    return [
        _span(span, scoped.get("scope", {}).get("name", ""))
        for resource in document.get("resourceSpans", ())
        for scoped in resource["scopeSpans"]
        for span in scoped["spans"]
    ]


def _span(span: dict[str, Any], scope: str) -> RecordedSpan:
    attributes = _attributes(span.get("attributes", ()))
    events = [
        {"name": event["name"], "time_ns": int(event["timeUnixNano"]), "attributes": _attributes(event.get("attributes", ()))}
        for event in span.get("events", ())
    ]
    links = [
        {"trace_id": link["traceId"], "span_id": link["spanId"], "attributes": _attributes(link.get("attributes", ()))}
        for link in span.get("links", ())
    ]
    return RecordedSpan(
        name=span["name"],
        kind=attributes.pop("clew.span.kind", "other"),
        status=_STATUS[span["status"]["code"]],
        message=span["status"].get("message", ""),
        trace_id=span["traceId"],
        span_id=span["spanId"],
        parent_span_id=span.get("parentSpanId"),
        start_ns=int(span["startTimeUnixNano"]),
        end_ns=int(span["endTimeUnixNano"]),
        attributes=attributes,
        events=events,
        links=links,
        scope=scope,
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair["key"]: _value(pair["value"]) for pair in pairs}


def _value(value: dict[str, Any]) -> Any:
    ((kind, content),) = value.items()
    if kind == "intValue":
        return int(content)
    if kind == "doubleValue":
        return float(content)
    return [_value(item) for item in content.get("values", ())] if kind == "arrayValue" else content
