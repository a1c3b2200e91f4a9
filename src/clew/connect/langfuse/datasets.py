"""Datasets of Langfuse and runs over them.

A run is told by attributes of its traces (``langfuse.experiment.*``), which Langfuse 4 reads; to older ones each item is reported by
``POST dataset-run-items`` too, until one answers that it does not know it.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from clew.connect.langfuse.rest import Rest, part
from clew.errors import LangfuseError

if TYPE_CHECKING:
    from clew.connect.langfuse.integration import LangfuseIntegration

PAGE: Final = 50
_GONE: Final = frozenset({404, 405, 410})


@dataclass(frozen=True, slots=True)
class ItemResult:
    """What came of one item.

    :ivar error: what the function raised, or None
    """

    item_id: str
    trace_id: str
    input: Any
    expected_output: Any
    output: Any
    error: Exception | None
    scores: dict[str, float | bool | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DatasetRun:
    """What came of a run."""

    dataset: str
    name: str
    results: tuple[ItemResult, ...]

    @property
    def averages(self) -> dict[str, float]:
        """Mean of each score that is a number, or yes or no."""
        values: dict[str, list[float]] = {}
        for result in self.results:
            for name, value in result.scores.items():
                if not isinstance(value, str):
                    values.setdefault(name, []).append(float(value))
        return {name: sum(found) / len(found) for name, found in values.items()}


class Datasets:
    """The datasets of a project."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        self._reports_items = True

    def create(self, name: str, description: str | None, items: Sequence[Mapping[str, Any]]) -> int:
        """Creates it, or adds to it what it lacks."""
        self._rest.post("v2/datasets", {"name": name, "description": description})
        for item in items:
            body = {
                "id": _id(name, item),
                "datasetName": name,
                "input": item.get("input"),
                "expectedOutput": item.get("expected_output"),
                "metadata": item.get("metadata"),
            }
            self._rest.post("dataset-items", body)
        return len(items)

    def items(self, name: str) -> Iterator[dict[str, Any]]:
        """Its active items, page by page."""
        page = 1
        while True:
            found = self._rest.get("dataset-items", datasetName=name, page=page, limit=PAGE)
            yield from (item for item in found["data"] if item.get("status", "ACTIVE") == "ACTIVE")
            if page >= found["meta"]["totalPages"]:
                return
            page += 1

    def run(
        self,
        integration: LangfuseIntegration,
        name: str,
        function: Callable[[Any], Any],
        *,
        run_name: str,
        evaluators: Sequence[Callable[..., Any]],
        persona: str | None,
        chatmode: str | None,
        metadata: Mapping[str, Any] | None,
    ) -> DatasetRun:
        """One trace for each item."""
        dataset = self._rest.get(f"v2/datasets/{part(name)}")
        run_id = hashlib.sha256(f"{dataset['id']}/{run_name}".encode()).hexdigest()[:16]
        told = {
            "langfuse.environment": "sdk-experiment",
            "langfuse.experiment.id": run_id,
            "langfuse.experiment.name": run_name,
            "langfuse.experiment.dataset.id": dataset["id"],
            "langfuse.experiment.metadata": json.dumps(dict(metadata), default=str) if metadata else None,
        }
        results = []
        for item in self.items(name):
            output, error = None, None
            trace = integration.start_trace(run_name, persona, chatmode, metadata, input=item["input"])
            expected = item.get("expectedOutput")
            integration.whose.note(
                trace.trace_id,
                observation={
                    **{key: value for key, value in told.items() if value is not None},
                    "langfuse.experiment.item.id": item["id"],
                    "langfuse.experiment.item.root_observation_id": trace.observation_id,
                    **({} if expected is None else {"langfuse.experiment.item.expected_output": json.dumps(expected, default=str)}),
                },
            )
            with trace:
                try:
                    output = _called(function, item["input"])
                    trace.update(output=output)
                except Exception as raised:  # the other items still run
                    error = raised
                    trace.fail(raised)
            result = ItemResult(item["id"], trace.trace_id, item["input"], expected, output, error)
            results.append(result)
            if error is None:
                for evaluator in evaluators:
                    _judge(trace, result, evaluator, item)
            self._report(run_name, metadata, item["id"], trace.trace_id, trace.observation_id)
        integration.flush()
        return DatasetRun(name, run_name, tuple(results))

    def _report(self, run_name: str, metadata: Mapping[str, Any] | None, item_id: str, trace_id: str, observation_id: str) -> None:
        if not self._reports_items:
            return
        body = {"runName": run_name, "datasetItemId": item_id, "traceId": trace_id, "observationId": observation_id, "metadata": metadata}
        try:
            self._rest.post("dataset-run-items", body)
        except LangfuseError as error:
            if error.status not in _GONE:
                raise
            self._reports_items = False


def _called(function: Callable[[Any], Any], given: Any) -> Any:
    """What a function gives, async ones too; within a running event loop these run in a thread with a loop of their own."""
    made = function(given)
    if not inspect.isawaitable(made):
        return made

    async def awaited() -> Any:
        return await made

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(awaited())
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, awaited()).result()


def _judge(trace: Any, result: ItemResult, evaluator: Callable[..., Any], item: Mapping[str, Any]) -> None:
    given = {"input": result.input, "output": result.output, "expected_output": result.expected_output, "metadata": item.get("metadata")}
    takes = inspect.signature(evaluator).parameters
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in takes.values()):
        given = {name: value for name, value in given.items() if name in takes}
    found = evaluator(**given)
    if found is None:
        return
    verdict = found if isinstance(found, Mapping) else {"value": found}
    name = str(verdict.get("name") or getattr(evaluator, "__name__", "score"))
    result.scores[name] = verdict["value"]
    trace.score_trace(name, verdict["value"], verdict.get("comment"))


def _id(dataset: str, item: Mapping[str, Any]) -> str:
    if item.get("id"):
        return str(item["id"])
    content = json.dumps([dataset, item.get("input"), item.get("expected_output")], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:32]
