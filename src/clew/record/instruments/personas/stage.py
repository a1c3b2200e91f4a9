"""A stage of a workflow: a span that is current inside, and the gate that it passes or fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Final

from clew.model import attributes as names
from clew.record import labels
from clew.record.errors import is_failure
from clew.record.guard import fault
from clew.record.instruments.functions import node
from clew.record.instruments.personas.gate import TOLD, record_gate

current: Final[ContextVar[Stage | None]] = ContextVar("clew_stage", default=None)
"""The stage that the code is in."""


def identity(workflow: str, stage: str, persona: str) -> dict[str, str]:
    """Attributes that say which stage a span belongs to."""
    return {names.WORKFLOW_NAME: workflow, names.STAGE: stage, names.PERSONA: persona}


class Stage:
    """``with Stage("release", "build", "devops-engineer") as span:`` sync and async; may be entered once.

    What raises inside fails the stage, and what was recorded stays. Unless a gate was told inside, the stage passes or fails one of its own:
    whether anything was raised.

    :param own_gate: False: no gate but those told inside
    :param ended: is told when it has ended, with the id of its trace
    :ivar passed: whether it passed; until it has ended, whether nothing is against it yet
    """

    def __init__(
        self,
        workflow: str,
        stage: str,
        persona: str,
        *,
        metadata: Mapping[str, Any] | None = None,
        chatmode: str | None = None,
        own_gate: bool = True,
        ended: Callable[[Stage, int], None] | None = None,
    ) -> None:
        self.workflow, self.stage, self.persona = workflow, stage, persona
        self.passed = True
        self.told: bool | None = None
        """The verdict that :meth:`tell` was given."""
        self._own_gate, self._ended = own_gate, ended
        self._gates: list[bool] = []
        values = {f"stage.{key}": value for key, value in (metadata or {}).items()}
        self._span = node(stage, stage=stage, persona=persona, **{names.WORKFLOW_NAME: workflow, names.CHATMODE: chatmode, **values})
        self._labels = labels.within(workflow=workflow, stage=stage, persona=persona, chatmode=chatmode)
        self._token: Any = None

    @property
    def key(self) -> tuple[str, str, str]:
        return self.workflow, self.stage, self.persona

    @property
    def identity(self) -> dict[str, str]:
        """Attributes that say which stage a span belongs to."""
        return identity(*self.key)

    def tell(self, passed: bool) -> None:
        """Whether the stage passed its gate, instead of what it would find by itself."""
        self.told = passed

    def gate_ended(self, passed: bool) -> None:
        """A gate was recorded inside."""
        self._gates.append(passed)
        self.passed = self.passed and passed

    def __enter__(self) -> Any:
        span = self._span.__enter__()  # first: it may be refused
        self._labels.__enter__()
        self._token = current.set(self)
        return span

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        failed = error is not None and is_failure(error)
        try:
            if self.told is not None:
                record_gate(self.identity, passed=self.told, name=TOLD, under=self._span)
            elif self._own_gate and (not self._gates or (failed and self.passed)):
                record_gate(self.identity, passed=not failed, reason=repr(error) if failed else "", under=self._span)
        except Exception:
            fault("recording a gate")
        self.passed = (self.passed and not failed) if self.told is None else self.told
        self._span.__exit__(kind, error, trace)
        if self._ended is not None:
            self._ended(self, self._span.trace_id)
        with suppress(ValueError):  # left in another context than entered, as a generator may
            current.reset(self._token)
        self._labels.__exit__()

    async def __aenter__(self) -> Any:
        return self.__enter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.__exit__(kind, error, trace)
