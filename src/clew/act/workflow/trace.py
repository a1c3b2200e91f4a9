"""What a run did, node by node, with the shared store before and after each: the file that ``clew run --trace`` writes."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from clew.act.workflow import running
from clew.act.workflow.namespaced import INPUTS_KEY, Store
from clew.act.workflow.plain import encode, quoted
from clew.act.workflow.running import Visit
from clew.act.workflow.templates import Reference, parse
from clew.act.workflow.trace_file import AFTER, TraceFile
from clew.model import attributes as names
from clew.record.errors import describe
from clew.wire.redaction import MASK

FORMAT: Final = "clew-trace/1"
INLINE_CHARACTERS: Final = 2048
"""A store of more JSON than this is not repeated in each entry: its entry says ``{"$after": seq}``. So a trace grows with what the nodes
write, not with the square of their number."""
SCALARS: Final = (str, int, float, bool, type(None))

STATUSES: Final = {"ok": "success", "error": "failed", "interrupted": "interrupted"}


class WorkflowTraceCollector:
    """Writes the trace of one run while it goes on.

    Values are written as they are at that moment: what a later node changes in them shows in later entries only. Unchanged values are
    recognised by identity; those that a node was handed (by a template, or read from the store) are compared each time.

    :param directory: where the file goes
    :param warn: is told why the trace cannot be written; the run goes on
    :ivar execution_id: a UUID, also in the file
    """

    def __init__(self, directory: Path, workflow_name: str = "", *, workflow_path: str | None = None, warn: Callable[[str], None]) -> None:
        self.execution_id = str(uuid.uuid4())
        self.workflow_name = workflow_name
        self._file = TraceFile(directory, "workflow", lists=("node",), warn=warn)
        self._lock = threading.RLock()
        self._stores: dict[int, _Written] = {}
        self._sequence = 0
        self._started = time.perf_counter_ns()
        self._failed = 0
        self._calls: list[Mapping[str, Any]] = []
        self._workflow_path = workflow_path

    def run_started(self, *, run_id: str | None, inputs: Mapping[str, Any]) -> None:
        """Writes the head of the trace."""
        self._started = time.perf_counter_ns()
        head = {
            "format_version": FORMAT,
            "execution_id": self.execution_id,
            "run_id": run_id,
            "workflow_name": self.workflow_name,
            "workflow_path": self._workflow_path,
            "start_time": _now(),
        }
        self._file.write(
            "meta", self._object({name: encode(value) for name, value in head.items()} | {"inputs": self._value("inputs", inputs)})
        )

    def node_started(self, visit: Visit, node_type: str, shared: Mapping[str, Any]) -> None:
        """A node begins: numbers the visit, and takes the store as it is."""
        with self._lock:
            self._sequence += 1
            visit.sequence = self._sequence
            written = self._stores.get(id(shared))
            if written is None:
                written = self._stores[id(shared)] = _Written(shared)
                self._update(written, [key for key in shared if not key.startswith("__")])
            visit.trace = self._snapshot(written), _now()
        start = f'{{"seq":{visit.sequence},"node_id":{quoted(visit.path)},"node_type":{quoted(node_type)},"timestamp":"{visit.trace[1]}"}}'
        self._file.write("start", start)

    def node_ended(
        self,
        visit: Visit,
        node_type: str,
        shared: Mapping[str, Any],
        *,
        duration_ns: int,
        error: BaseException | None = None,
        llm_calls: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """A node has ended: writes its entry."""
        outer = running.visit.get()
        parent = f'"parent":{outer.sequence},' if outer is not None else ""
        before, timestamp = visit.trace
        with self._lock:
            written = self._stores[id(shared)]
            changed = self._update(written, self._candidates(written, visit))
            after = self._snapshot(written, visit.sequence)
            resolved = ",".join([self._resolution(written.secrets, *found) for found in visit.resolutions or ()])
            self._failed += error is not None
            if outer is None:  # else the node around it counts them
                self._calls += llm_calls
        entry = (
            f'{{"seq":{visit.sequence},{parent}'
            f'"node_id":{quoted(visit.path)},"node_type":{quoted(node_type)},"timestamp":"{timestamp}",'
            f'"duration_ms":{round(duration_ns / 1e6, 2)!r},"success":{"false" if error is not None else "true"},'
            f'"shared_before":{before},"shared_after":{after},"mutations":{changed},"template_resolutions":[{resolved}]'
        )
        if llm_calls:
            entry += f',"llm_call":{self._value("llm_call", llm_calls[-1])}'
        if len(llm_calls) > 1:
            entry += f',"llm_calls":[{",".join([self._value("llm_call", call) for call in llm_calls])}]'
        if error is not None:
            entry += f',"error":{self._value("error", _detail(error))}'
        self._file.write("node", entry + "}")

    def run_ended(self, status: str, *, result: Any = None, error: str | None = None, failed_node: str | None = None) -> Path | None:
        """Writes the end and makes one document of the trace; its path, or None when it could not be written."""
        tokens = [call["total_tokens"] for call in self._calls if call.get("total_tokens") is not None]
        end = {
            "end_time": encode(_now()),
            "duration_ms": repr(round((time.perf_counter_ns() - self._started) / 1e6, 2)),
            "final_status": encode(STATUSES[status]),
            "nodes_executed": str(self._sequence),
            "nodes_failed": str(self._failed),
            "llm_summary": encode(
                {
                    "total_calls": len(self._calls),
                    "total_tokens": sum(tokens),
                    "calls_without_usage": len(self._calls) - len(tokens),
                    "models_used": sorted({str(call["model"]) for call in self._calls if call.get("model")}),
                }
            ),
        }
        if error is not None:
            end |= {"error": self._value("error", error), "failed_node": encode(failed_node)}
        else:
            end["json_output"] = self._value("json_output", result)
        self._file.write("end", self._object(end))
        return self._file.finish()

    def store_ended(self, shared: Mapping[str, Any]) -> None:
        """No further node runs with this store."""
        with self._lock:
            self._stores.pop(id(shared), None)

    @property
    def path(self) -> Path | None:
        """Where the document will be, or is; None when it cannot be written."""
        return self._file.path

    # -- the store ----------------------------------------------------------------------------------------------------------------

    def _candidates(self, written: _Written, visit: Visit) -> list[str]:
        """Keys that the visit may have changed."""
        shared = written.shared
        if not isinstance(shared, Store):  # any node may have written anywhere
            return [key for key in {**written.parts, **shared} if not key.startswith("__")]
        for _, template, resolved in visit.resolutions or ():
            if not isinstance(resolved, SCALARS):
                written.handed.update(piece.root for piece in parse(template) if isinstance(piece, Reference))
        written.handed |= visit.reached
        own = visit.path.rpartition("/")[2]
        return [own, *(key for key in written.handed if key != own and not key.startswith("__"))]

    def _update(self, written: _Written, keys: Sequence[str]) -> str:
        """Takes in what has changed under ``keys``; returns the mutations as JSON."""
        added: list[str] = []
        modified: list[str] = []
        removed: list[str] = []
        parts, shared = written.parts, written.shared
        for key in keys:
            old = parts.get(key)
            if key not in shared:
                if old is not None:
                    removed.append(quoted(key))
                    written.size -= len(parts.pop(key))
                continue
            value = shared[key]
            if key == INPUTS_KEY and written.secrets:
                value = {name: MASK if name in written.secrets else item for name, item in value.items()}
            elif old is not None and isinstance(value, SCALARS) and written.values.get(key) is value:
                continue
            new = f"{quoted(key)}:{self._value(key, value)}"
            written.values[key] = value
            if new == old:
                continue
            (added if old is None else modified).append(new)
            written.size += len(new) - len(old or "")
            parts[key] = new
        return f'{{"added":{{{",".join(added)}}},"removed":[{",".join(removed)}],"modified":{{{",".join(modified)}}}}}'

    def _snapshot(self, written: _Written, sequence: int | None = None) -> str:
        """The store as JSON; when it is large, as a reference to the entry after which it was so. ``sequence``: that entry is this one."""
        if sequence is not None:
            written.sequence = sequence
        if written.size > INLINE_CHARACTERS and written.sequence:
            return f'{{"{AFTER}":{written.sequence}}}'
        return f"{{{','.join(written.parts.values())}}}"

    def _resolution(self, secrets: frozenset[str], param: str, template: str, resolved: Any) -> str:
        (root, path), *_ = [(piece.root, piece.path) for piece in parse(template) if isinstance(piece, Reference)]
        if root == INPUTS_KEY and path[:1] and path[0] in secrets:
            resolved = MASK
        value = self._value(param.rpartition(".")[2], resolved)
        return f'{{"param":{quoted(param)},"template":{quoted(template)},"resolved":{value}}}'

    def _value(self, name: str, value: Any) -> str:
        return self._file.value(name, value)

    @staticmethod
    def _object(members: Mapping[str, str]) -> str:
        pairs = [f'"{name}":{text}' for name, text in members.items()]
        return f"{{{','.join(pairs)}}}"


class _Written:
    """A shared store as far as the trace has it."""

    __slots__ = ("handed", "parts", "secrets", "sequence", "shared", "size", "values")

    def __init__(self, shared: Mapping[str, Any]) -> None:
        self.shared = shared  # also keeps its id from being given to another
        self.secrets: frozenset[str] = getattr(shared, "secrets", frozenset())
        self.parts: dict[str, str] = {}
        self.values: dict[str, Any] = {}
        self.handed: set[str] = set()
        self.size = 0
        self.sequence = 0


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _detail(error: BaseException) -> dict[str, Any]:
    values = describe(error)
    return {
        "type": values[names.EXCEPTION_TYPE],
        "message": values[names.EXCEPTION_MESSAGE],
        "stacktrace": values.get(names.EXCEPTION_STACKTRACE),
    }
