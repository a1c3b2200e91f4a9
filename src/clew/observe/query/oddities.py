"""What in a run looks wrong though nothing failed: results that are empty, and tools that were asked the same again and again."""

from __future__ import annotations

from dataclasses import dataclass, field

from clew.model import attributes as a
from clew.observe.query.traces import resolve
from clew.observe.store.store import Store

RESULT_KEYS = (
    a.OUTPUT,
    a.OUTPUT_MESSAGES,
    a.TOOL_RESULT,
    "output.value",
    "tool_response",
    "traceloop.entity.output",
    "langfuse.observation.output",
    "ai.toolCall.result",
    "mlflow.spanOutputs",
)
"""Content that a span gave back, in every dialect."""
ARGUMENT_KEYS = (
    a.TOOL_ARGUMENTS,
    "input.value",
    "tool_arguments",
    "traceloop.entity.input",
    "langfuse.observation.input",
    "ai.toolCall.args",
    "mlflow.spanInputs",
)
"""Content that a tool was called with."""
BLANK = ("", "null", "None", '""', "[]", "{}")
"""Texts that say nothing."""
REPEATS_FROM = 3
"""Fewer equal calls of a tool than this are no sign of a loop."""


@dataclass(frozen=True, slots=True)
class Blank:
    """A span that gave back nothing."""

    span_id: str
    value: str
    """One of BLANK."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """A tool that was called with the same arguments REPEATS_FROM times or more."""

    tool: str
    times: int
    span_id: str
    """The first of the calls."""


@dataclass(frozen=True, slots=True)
class Oddities:
    """At most ``limit`` of each, in the order of the run; how many there are in all stands beside."""

    blanks: list[Blank] = field(default_factory=list)
    blank_spans: int = 0
    repeats: list[Repeat] = field(default_factory=list)
    repeated_calls: int = 0
    """Distinct calls (tool and arguments) that were repeated."""


def oddities(store: Store, run_id: str, *, limit: int = 20) -> Oddities:
    """The oddities of the run with that (possibly shortened) id. One query for each, whatever the size of the run.

    :raises NotFound: no run has it
    :raises AmbiguousId: several have
    """
    given = {
        "id": resolve(store, run_id),
        "results": list(RESULT_KEYS),
        "arguments": list(ARGUMENT_KEYS),
        "blank": list(BLANK),
        "repeats": REPEATS_FROM,
        "limit": limit,
    }
    blanks = store.rows(_BLANKS, given)
    repeats = store.rows(_REPEATS, given)
    return Oddities(
        [Blank(row["span_id"], row["value"]) for row in blanks],
        blanks[0]["found"] if blanks else 0,
        [Repeat(row["tool"], row["times"], row["first"]) for row in repeats],
        repeats[0]["found"] if repeats else 0,
    )


# A git operation that has nothing to say did well.
_BLANKS = """SELECT span_id, trim(any(c.value)) AS value, count() OVER () AS found
FROM (SELECT span_id, value FROM contents WHERE trace_id = {id:String} AND key IN {results:Array(String)}) AS c
JOIN (SELECT span_id, start_ns FROM spans WHERE trace_id = {id:String} AND state = 'ended' AND status != 'error' AND kind != 'git') AS s USING (span_id)
GROUP BY span_id HAVING countIf(trim(c.value) NOT IN {blank:Array(String)}) = 0
ORDER BY min(s.start_ns), span_id LIMIT {limit:UInt64}"""

_REPEATS = """SELECT tool, count() AS times, argMin(span_id, start_ns) AS first, count() OVER () AS found
FROM (
    SELECT if(tool != '', tool, name) AS tool, span_id, start_ns,
        arrayFilter(key -> key IN {arguments:Array(String)}, mapKeys(contents)) AS keys, arrayMap(key -> contents[key], keys) AS hashes
    FROM spans WHERE trace_id = {id:String} AND kind = 'tool'
)
WHERE notEmpty(hashes)
GROUP BY tool, hashes HAVING times >= {repeats:UInt64}
ORDER BY times DESC, min(start_ns), tool LIMIT {limit:UInt64}"""
