"""The store's tables and views: one .sql file each, with the generated parts filled in."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from importlib import resources
from string import Template
from typing import NamedTuple

from clew.model.dialects import COLUMNS
from clew.observe.store import normalise, points, pricing, redaction, rollups, sketches, unrolled
from clew.wire.otlp import METRICS, SIGNALS, Signal, landing_columns

ENCODINGS = ("protobuf", "json")


def way_in(signal: Signal, encoding: str) -> str:
    """The word in the names of the files that take in records of a signal in an encoding."""
    return f"{signal.name}_{encoding}"


WAYS_IN = tuple(way_in(signal, encoding) for signal in SIGNALS for encoding in ENCODINGS)
ON_DEMAND = (*WAYS_IN, rollups.SETTLING, "totals", *rollups.TABLES, unrolled.TABLE, sketches.TABLES)
"""Words in the names of files whose tables are made when the first record comes that needs them, or somebody first asks for what they hold:
few stores need all of them, and the SQL of the ways in is larger than many a store."""


RETIRED = ("074_note_conflicts.sql",)
"""Materialized views of earlier versions that this one does without."""

PART_OF = "replaceRegexpOne(table, '_shard$', '')"
"""The name of a part's table as everything else has it."""


class Placement(NamedTuple):
    """How the tables lie: on one server, or over the shards and replicas of a cluster."""

    cluster: str = ""
    is_shared: bool = False
    """Whether several collectors may write to it."""

    def kept(self, table: str) -> str:
        """What names a table in a statement that changes it as a whole: ALTER, DELETE, TRUNCATE."""
        return f"{table}{SHARD} {self.on_cluster}" if self.cluster else table

    @property
    def parts(self) -> str:
        """What to read the parts of all shards from, those of one replica each; ``PART_OF`` is the table that they are of."""
        return f"cluster('{self.cluster}', system.parts)" if self.cluster else "system.parts"

    @property
    def replicated(self) -> str:
        return "Replicated" if self.cluster else ""

    @property
    def on_cluster(self) -> str:
        return f"ON CLUSTER '{self.cluster}'" if self.cluster else ""

    def statements(self, statement: str) -> list[str]:
        """Those that make what a statement makes. In a cluster a table that is kept is one on each shard, named ``..._shard``, behind one
        that passes rows on by their trace, so that all of a trace is on one shard; by the table's key where there is no trace."""
        table = re.search(r"CREATE TABLE IF NOT EXISTS (\w+) ", statement)
        if not self.cluster or table is None or "MergeTree" not in statement:
            return [statement]
        name = table[1]
        key = "trace_id" if re.search(r"^    trace_id ", statement, re.MULTILINE) else _KEY.findall(statement)[0]
        shard = statement.replace(table[0], f"CREATE TABLE IF NOT EXISTS {name}_shard ")
        distributed = (
            f"CREATE TABLE IF NOT EXISTS {name} {self.on_cluster} AS {name}_shard "
            f"ENGINE = Distributed('{self.cluster}', currentDatabase(), {name}_shard, sipHash64({key}))"
        )
        return [shard, distributed]


ONE_SERVER = Placement()
SHARD = "_shard"
"""Ends the name of the table that a shard keeps."""

_KEY = re.compile(r"ORDER BY \(?(\w+)")
"""The first column of a table's key."""


class File(NamedTuple):
    """A table or view."""

    name: str
    digest: str
    """Of its text."""
    statements: list[str]

    def holds(self, word: str) -> bool:
        """Whether it is one of those that ON_DEMAND names by this word."""
        return self.name.removesuffix(".sql").endswith(f"_{word}")

    @property
    def is_way_in(self) -> bool:
        """Whether it takes in records of one signal and encoding."""
        return any(map(self.holds, WAYS_IN))

    @property
    def is_later(self) -> bool:
        """Whether a new store does without it."""
        return any(map(self.holds, ON_DEMAND))


VIEW_ORDER = ("spans", "contents", "model_calls", "tool_calls", "runs", "sessions", "messages", "decisions", "logs", "points")
"""The public views (docs/sql.md), each after those it reads."""

ARGUMENT_KEYS = (
    "gen_ai.tool.call.arguments",
    "ai.toolCall.args",
    "tool_arguments",
    "gcp.vertex.agent.tool_call_args",
    "input.value",
    "traceloop.entity.input",
    "langfuse.observation.input",
    "mlflow.spanInputs",
    "clew.input",
    "tool.parameters",  # OpenInference means the tool's declaration by it; some write the arguments there and nowhere else
)
RESULT_KEYS = (
    "gen_ai.tool.call.result",
    "ai.toolCall.result",
    "tool_response",
    "gcp.vertex.agent.tool_response",
    "output.value",
    "traceloop.entity.output",
    "langfuse.observation.output",
    "mlflow.spanOutputs",
    "clew.output",
)
"""Content that holds a tool call's arguments and result, best first."""


def _first_hash(keys: tuple[str, ...]) -> str:
    cases = ", ".join(f"mapContains(contents, {normalise.literal(key)}), contents[{normalise.literal(key)}]" for key in keys)
    return f"multiIf({cases}, 0)"


def parts(placement: Placement, *, redact: bool = False) -> dict[str, str]:
    """What the .sql files name with ``$``. Engine, ON CLUSTER and redaction are parameters of the one set."""
    public = [column.name for column in COLUMNS]
    generated = {
        "replicated": placement.replicated,
        "on_cluster": placement.on_cluster,
        # Who settles removes just the rows that it has read: others may have been added since.
        "mark": ",\n    mark UInt64 DEFAULT rand64()" if placement.is_shared else "",
        "second": normalise.SECOND,
        "day": normalise.DAY,
        "value_type": normalise.VALUE_TYPE_SQL,
        "point_columns": ",\n    ".join(f"{name} {kind}" for name, kind in points.POINT_COLUMNS),
        "span_columns": ",\n    ".join(f"{name} {kind}" for name, kind in normalise.SPAN_COLUMNS),
        "span_column_names": ", ".join(name for name, _ in normalise.SPAN_COLUMNS),
        "public_columns": ",\n    ".join(["if(response_model != '', response_model, request_model) AS model", *public]),
        "normalise_spans": normalise.normalise(redaction.spans("decoded_spans") if redact else "decoded_spans"),
        "decoded_logs": redaction.logs("decoded_logs") if redact else "decoded_logs",
        **_PRICED,
        "of_runs": "",
        **_WHOLE,
        "calls": "model_calls",
        "of_calls": "",
        **rollups.parts(),
        "sketched_values": str(sketches.VALUES),
        "argument_hash": _first_hash(ARGUMENT_KEYS),
        "result_hash": _first_hash(RESULT_KEYS),
    }
    for signal in SIGNALS:
        for encoding in ENCODINGS:
            json = encoding == "json"
            generated[f"landing_{way_in(signal, encoding)}"] = landing_columns(signal, json=json)
            decoded = points.decode(json=json, redact=redact) if signal is METRICS else normalise.decode(signal, json=json)
            generated[f"decode_{way_in(signal, encoding)}"] = decoded
    return generated


_PRICED = {
    "charged_tokens": pricing.charged(),
    "usd_per_million": pricing.usd_per_million(),
    "computed_cost": pricing.computed_cost(),
    "cost_usd": pricing.COST_USD,
    "cost_source": pricing.COST_SOURCE,
    "may_cost": pricing.MAY_COST,
}
"""What the view model_calls works out costs with."""


def made_by(file: str) -> str:
    """The table or view that a file makes."""
    return file.removesuffix(".sql").lstrip("0123456789_")


NO_CALLS = """null('trace_id String, model String, usage_source String, input_tokens Nullable(UInt64), output_tokens Nullable(UInt64), \
cost_usd Nullable(Float64), cost_source String')"""
"""In place of the view model_calls: as if there were none."""


def select_runs(of_runs: str, *, calls: bool = True, of_settled: str = "1") -> str:
    """What the view ``runs`` selects, of only the runs that the WHERE clause names: the engine passes no condition on a run to both sides of
    the view's join.

    :param of_runs: a condition on ``trace_id`` and ``start_ns``
    :param calls: whether the columns on model calls are wanted; without, they are as of a run that has none, which takes a tenth of the time
    :param of_settled: a condition on ``settled`` that holds for all of these runs: on the days above all, which say what need not be read
    """
    of_calls = {"calls": NO_CALLS, "of_calls": ""}
    if calls:
        # Grouped, for with FINAL the engine rules out no day.
        newest = "argMax(shadowed, settled_ns) AS shadowed, argMax(agent, settled_ns) AS agent"
        settled = {"settled": f"(SELECT trace_id, span_id, {newest} FROM settled WHERE {of_settled} GROUP BY trace_id, span_id)"}
        of_calls = {"calls": f"({_selected_by('model_calls').substitute(_PRICED, **settled)})", "of_calls": f"WHERE {of_runs}"}
    return _selected_by("runs").substitute(of_runs=f"WHERE {of_runs}", **of_calls)


def _selected_by(view: str) -> Template:
    """The SELECT of a view."""
    return Template((resources.files("clew.observe.store") / "views" / f"{view}.sql").read_text().partition(" AS\n")[2])


_WHOLE = {
    "span_records": "span_records FINAL",
    "log_records": "log_records FINAL",
    "settled": "settled FINAL",
    "payloads": "payloads",
    "contents": "contents",
}
"""What the views read: all of it."""


def select_messages(of_spans: str) -> str:
    """What the view ``messages`` selects, of only some spans of one trace: no content of others is read.

    :param of_spans: a condition on ``trace_id`` and ``span_id``, with the trace as the parameter ``trace``
    """
    of_one = {
        "span_records": f"(SELECT * FROM span_records FINAL WHERE {of_spans})",
        "log_records": f"(SELECT * FROM log_records FINAL WHERE {of_spans})",
        "payloads": (
            "(SELECT * FROM payloads WHERE trace_id = {trace:String} "
            f"AND hash IN (SELECT arrayJoin(mapValues(contents)) FROM span_records WHERE {of_spans}))"
        ),
    }
    return _selected_by("messages").substitute(of_one, contents=f"({_selected_by('contents').substitute(of_one)})")


def files(placement: Placement = ONE_SERVER, *, redact: bool = False) -> Iterator[File]:
    """Each table and view, in the order they are made.

    Tables are made once. Materialized views are dropped and made anew when their text changes, plain views replaced.

    :param redact: mask secrets in what arrives
    """
    generated = parts(placement, redact=redact)
    root = resources.files("clew.observe.store")
    tables = sorted((entry.name, entry.read_text()) for entry in (root / "sql").iterdir() if entry.name.endswith(".sql"))
    views = [(f"{name}.sql", (root / "views" / f"{name}.sql").read_text()) for name in VIEW_ORDER]
    for name, text in tables + views:
        statement = Template(text).substitute(generated)
        statements = placement.statements(statement)
        if "CREATE MATERIALIZED VIEW" in statement or "ENGINE = Null" in statement:
            kind = "VIEW" if "MATERIALIZED VIEW" in statement else "TABLE"
            statements.insert(0, f"DROP {kind} IF EXISTS {made_by(name)} {placement.on_cluster} SYNC")
        yield File(name, hashlib.sha256(statement.encode()).hexdigest()[:16], statements)
