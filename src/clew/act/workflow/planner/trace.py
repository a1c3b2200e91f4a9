"""How a workflow was planned, step by step: the file that ``clew run --trace-planner`` writes."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from clew.act.workflow.plain import encode
from clew.act.workflow.running import Visit
from clew.act.workflow.trace_file import TraceFile

FORMAT: Final = "clew-planner-trace/1"


class PlannerTraceCollector:
    """Writes the trace of one planning while it goes on; told by the wrapper around each step, like the trace of a workflow.

    :param directory: where the file goes
    :param warn: is told why the trace cannot be written; the planning goes on
    :ivar execution_id: a UUID, also in the file
    """

    def __init__(self, directory: Path, user_input: str, *, warn: Callable[[str], None]) -> None:
        self.execution_id = str(uuid.uuid4())
        self._file = TraceFile(directory, "planner", lists=("llm_call", "node_execution", "event"), warn=warn)
        self._started = time.perf_counter_ns()
        self._user_input = user_input
        self._begun: dict[int, str] = {}
        self._count = 0

    def planning_started(self, *, run_id: str | None, model: str) -> None:
        """Writes the head of the trace."""
        self._write(
            "meta",
            format_version=FORMAT,
            execution_id=self.execution_id,
            run_id=run_id,
            timestamp=_now(),
            model=model,
            user_input=self._user_input,
        )

    def node_started(self, visit: Visit, node_type: str, shared: Mapping[str, Any]) -> None:
        """A step begins."""
        self._count += 1
        visit.sequence = self._count
        self._begun[self._count] = _now()
        self._write("start", seq=visit.sequence, node=visit.path, timestamp=self._begun[self._count])

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
        """A step has ended: writes its model calls, its entry, and what it found."""
        results = dict(shared.get(visit.path) or {})
        answer = results.pop("answer", None)
        timestamp, duration_ms = self._begun.pop(visit.sequence, _now()), round(duration_ns / 1e6, 2)
        for number, call in enumerate(llm_calls, 1):
            self._write("llm_call", **_call(visit.path, call, answer if number == len(llm_calls) else None))
        said = None if error is None else str(error) or type(error).__name__
        self._write(
            "node_execution",
            seq=visit.sequence,
            node=visit.path,
            timestamp=timestamp,
            duration_ms=duration_ms,
            status="success" if error is None else "failed",
            error=said,
        )
        self._write("event", timestamp=timestamp, node=visit.path, phase="exec", duration_ms=duration_ms, extra=results)

    def planning_ended(self, status: str, *, path_taken: str | None, error: str | None = None, workflow: Any = None) -> Path | None:
        """Writes the end and makes one document of the trace; its path, or None when it could not be written.

        :param status: success, failed or interrupted
        :param workflow: what came out of it
        """
        self._write(
            "end",
            final_status=status,
            status=status,
            duration_ms=round((time.perf_counter_ns() - self._started) / 1e6, 2),
            path_taken=path_taken,
            workflow=workflow,
            **({"error": error} if error is not None else {}),
        )
        return self._file.finish()

    def _write(self, sort: str, **values: Any) -> None:
        self._file.write(sort, "{" + ",".join([f"{encode(name)}:{self._file.value(name, value)}" for name, value in values.items()]) + "}")


def _call(node: str, call: Mapping[str, Any], response: Any) -> dict[str, Any]:
    """An entry of ``__llm_calls__`` in the shape of the planner's trace. Of several requests in one step the last one's response is known; all are
    in the record."""
    known = ("timestamp", "model", "prompt", "duration_ms", "error", "is_planner", "node_id")
    return {
        "node": node,
        "timestamp": call.get("timestamp"),
        "model": call.get("model"),
        "prompt": call.get("prompt"),
        "prompt_kwargs": {key: value for key, value in call.items() if key not in known and not key.endswith("_tokens")},
        "duration_ms": call.get("duration_ms"),
        "response": response,
        "tokens": {"input": call.get("input_tokens"), "output": call.get("output_tokens")},
        **({"error": call["error"]} if call.get("error") else {}),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat()
