"""A gate: a named check of a stage. It also works while recording is off: then it is only not recorded."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self, TypeVar, cast, overload

from clew.errors import GateFailed
from clew.model import attributes as names
from clew.record import labels, propagation
from clew.record.errors import is_failure
from clew.record.guard import fault
from clew.record.instruments import table
from clew.record.instruments.gates.finding import Finding, finding
from clew.record.span import OK, Span

F = TypeVar("F", bound=Callable[..., Any])

_INHERITED: Final = {"workflow": names.WORKFLOW_NAME, "stage": names.STAGE, "persona": names.PERSONA}
"""Label -> attribute that a gate has from where it stands."""


class Gate(Span):
    """``with clew.gate("tests", required=True) as gate: ...``; docs/gates.md has the rules."""

    __slots__ = ("_at_least", "_found", "_required")

    def __init__(self, name: str | None, required: bool, at_least: float | None, keywords: dict[str, Any]) -> None:
        self._required = required
        self._at_least = at_least
        self._found: Finding | None = None
        result, reason, score = keywords.pop("result", None), keywords.pop("reason", ""), keywords.pop("score", None)
        super().__init__(table.GATE, name, {names.GATE_REQUIRED: required, **keywords})
        if result is not None:
            self.find(Finding(result if result in ("passed", "failed") else "error", reason, score, at_least))

    # -- the verdict ----------------------------------------------------------------------------------------------------------------

    def passed(self, reason: str = "", *, score: float | None = None, evidence: Any = None) -> Self:
        """It is passed. The last verdict counts."""
        return self.find(Finding("passed", reason, score, self._at_least, evidence))

    def failed(self, reason: str = "", *, score: float | None = None, evidence: Any = None) -> Self:
        """It is not passed."""
        return self.find(Finding("failed", reason, score, self._at_least, evidence))

    def error(self, reason: str = "", *, evidence: Any = None) -> Self:
        """The check could not be made."""
        return self.find(Finding("error", reason, evidence=evidence))

    def find(self, found: Finding) -> Self:
        """The verdict of a check."""
        self._found = found
        return self

    def check(self, check: Callable[[], Any]) -> Finding:
        """Make a check, one of :mod:`clew.checks` or any function that gives a verdict.

        :returns: what it found; an advisory gate says also so that a check could not be made
        :raises GateFailed: the gate is required, and not passed
        """
        with self:
            try:
                self.find(finding(check(), self._at_least))
            except GateFailed:
                raise
            except Exception as error:
                self._broke(error)
        assert self._found is not None
        return self._found

    def _broke(self, error: Exception) -> None:
        failed = isinstance(error, AssertionError)
        text = str(error).strip().partition("\n")[0]
        reason = text if failed and text else f"{type(error).__name__}{': ' if text else ''}{text}"
        self.find(Finding("failed" if failed else "error", reason, check="function"))

    # -- as a span ------------------------------------------------------------------------------------------------------------------

    def start(self) -> Self:
        self._inherit()
        return super().start()

    def __enter__(self) -> Self:
        self._inherit()
        return super().__enter__()

    def _inherit(self) -> None:
        """The workflow and stage that it is counted for, where it does not name them."""
        try:
            held, around = labels.current(), propagation.current()
            for label, name in _INHERITED.items():
                given = self.instrument.shorter.get(name, name)
                if given not in self.given:
                    of_parent = around.attributes.get(name) if isinstance(around, Span) else None
                    self.set(name, held.get(label) or of_parent)
        except Exception:
            fault("finding the stage of a gate")

    def __exit__(  # type: ignore[override]  # an assertion that failed is the gate's verdict, and goes no further
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        verdict = isinstance(error, AssertionError)
        if error is not None and not is_failure(error):
            error = None
        if error is not None and isinstance(error, Exception) and not isinstance(error, GateFailed):
            self._broke(error)
        elif error is not None:
            self.find(Finding("failed" if isinstance(error, GateFailed) else "error", str(error) or type(error).__name__))
        found = self._found = self._found or Finding("passed")
        failure = GateFailed(self.name, found.reason, result=found.result) if found.result != "passed" else None
        self._write(found)
        if failure is not None and self._required:
            self.fail(error if error is not None and not verdict else failure)
        elif error is not None and not verdict:
            self.fail(error)
        elif self.status_code == 0:
            self.status_code = OK
        super().__exit__(None, None, None)
        if failure is not None and self._required and (error is None or verdict):
            raise failure from error
        return verdict

    def end(self) -> None:
        """End a gate that was started by :meth:`start`; it is recorded, and never raises."""
        found = self._found or Finding("passed")
        self._write(found)
        if self.status_code == 0 and found.result != "passed" and self._required:
            self.fail(GateFailed(self.name, found.reason, result=found.result))
        elif self.status_code == 0:
            self.status_code = OK
        super().end()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:  # type: ignore[override]
        return self.__exit__(kind, error, trace)

    def _write(self, found: Finding) -> None:
        self.set(names.GATE_RESULT, found.result).set(names.GATE_CHECK, found.check).set(names.GATE_REASON, found.reason or None)
        self.set(names.GATE_SCORE, found.score).set(
            names.GATE_THRESHOLD, found.threshold if found.threshold is not None else self._at_least
        )
        if found.evidence is not None:
            self.output(found.evidence)

    def __call__(self, function: F) -> F:
        """Decorate a function or coroutine function: each call is a gate, and what it gives is the verdict. It still gives that."""
        name = self.name if self._named else getattr(function, "__name__", "gate")
        given = {key: value for key, value in self.given.items() if key != names.GATE_REQUIRED}

        def made() -> Gate:
            return Gate(name, self._required, self._at_least, dict(given))

        wrapped: Any
        if inspect.iscoroutinefunction(function):

            async def wrapped(*args: Any, **kwargs: Any) -> Any:
                value = None
                with made() as gate:
                    try:
                        value = await function(*args, **kwargs)
                        gate.find(finding(value, gate._at_least))
                    except GateFailed:
                        raise
                    except Exception as error:
                        gate._broke(error)
                return value

        else:

            def wrapped(*args: Any, **kwargs: Any) -> Any:
                value = None
                with made() as gate:
                    try:
                        value = function(*args, **kwargs)
                        gate.find(finding(value, gate._at_least))
                    except GateFailed:
                        raise
                    except Exception as error:
                        gate._broke(error)
                return value

        return cast(F, functools.wraps(function)(wrapped))


@overload
def gate(name: str | None = None, /, *, required: bool = True, at_least: float | None = None, **attributes: Any) -> Gate: ...
@overload
def gate(function: F, /) -> F: ...
def gate(name: Any = None, /, *, required: bool = True, at_least: float | None = None, **attributes: Any) -> Any:
    """A quality gate: context manager, sync and async, decorator of functions that give a verdict, or ``clew.gate("tests").check(...)``.

    Nothing said and nothing raised is passed; an AssertionError is failed; any other exception is an error, and goes on out of a block.

    :param name: name of the gate; for a decorated function its own name unless given
    :param required: not passed, it raises :class:`clew.GateFailed` at its end; else it is advisory, and only recorded
    :param at_least: what a score must be
    :param attributes: ``stage``, ``workflow`` and the like (docs/recording.md); by default those of the span around. ``result``, ``reason``
        and ``score`` of a verdict that is known
    """
    if "workflow" in attributes:
        attributes[names.WORKFLOW_NAME] = attributes.pop("workflow")
    if name is None or isinstance(name, str) or not callable(name):
        return Gate(name, required, at_least, attributes)
    return Gate(None, required, at_least, attributes)(name)
