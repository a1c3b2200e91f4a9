"""A workflow of several personas: one run, its stages as spans that nest."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, overload

from clew.record import labels
from clew.record.instruments.functions import workflow
from clew.record.instruments.personas.collector import PersonaMetricsCollector, get_persona_metrics
from clew.record.instruments.personas.stage import Stage

P = ParamSpec("P")
R = TypeVar("R")


class WorkflowTracer:
    """``async with WorkflowTracer("package_release") as tracer:`` or ``with``; one run, to be entered once.

    Everything inside is recorded below it. A stage that raises fails and keeps what was recorded; the exception goes on, and the run fails too. When the
    run ends, so does the session of a persona that began in it.

    :param metadata: attributes of the run, recorded as ``workflow.KEY``
    :param collector: what keeps the personas; the process's own unless given
    :raises PersonaError: the file of personas cannot be used
    """

    def __init__(
        self, workflow_name: str, metadata: Mapping[str, Any] | None = None, *, collector: PersonaMetricsCollector | None = None
    ) -> None:
        self.workflow_name = workflow_name
        self.collector = collector or get_persona_metrics()
        self._span = workflow(workflow_name, **{f"workflow.{key}": value for key, value in (metadata or {}).items()})
        self._labels = labels.within(workflow=workflow_name)

    @property
    def span(self) -> Any:
        """The run's span."""
        return self._span

    def stage_context(self, stage_name: str, persona: str, metadata: Mapping[str, Any] | None = None) -> Stage:
        """``async with tracer.stage_context("build", "devops-engineer") as span:`` or ``with``: a stage; stages inside it nest.

        :param metadata: attributes of the stage, recorded as ``stage.KEY``
        """
        return self.collector.stage(self.workflow_name, stage_name, persona, metadata=metadata)

    @overload
    async def trace_stage(self, stage_name: str, persona: str, func: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    async def trace_stage(self, stage_name: str, persona: str, func: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R: ...
    async def trace_stage(self, stage_name: str, persona: str, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Calls a function, sync or async, as a stage, and gives back what it gives. In sync code write ``with tracer.stage_context(...)``."""
        with self.stage_context(stage_name, persona):
            result = func(*args, **kwargs)
            return await result if inspect.isawaitable(result) else result

    def __enter__(self) -> Self:
        self._span.__enter__()  # first: it may be refused
        self._labels.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.collector.close(within=self._span.trace_id)
        self._span.__exit__(kind, error, trace)
        self._labels.__exit__()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.__exit__(kind, error, trace)


def trace_workflow(name: str, metadata: Mapping[str, Any] | None = None) -> WorkflowTracer:
    """A run of a workflow of several personas: ``async with clew.trace_workflow("release") as tracer:`` or ``with``."""
    return WorkflowTracer(name, metadata)
