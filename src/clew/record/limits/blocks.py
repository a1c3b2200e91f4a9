"""What users declare limits with: ``clew.budget`` and ``clew.runaway``."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from clew.cost.budgets import budget as declared
from clew.cost.budgets import figures
from clew.cost.budgets import runaway as declared_runaway
from clew.cost.budgets.budget import Budget, Measure, Scope, Unpriced
from clew.cost.budgets.figures import BudgetState
from clew.cost.budgets.ledger import Charge
from clew.cost.budgets.runaway import Runaway
from clew.cost.budgets.verdicts import verdicts
from clew.errors import BudgetError
from clew.model import attributes as names
from clew.record import state
from clew.record.control import current_span
from clew.record.instruments import table
from clew.record.limits import budgets, limits, loops
from clew.record.span import Span

F = TypeVar("F", bound=Callable[..., Any])
log: Final = logging.getLogger("clew")

_entered: Final[ContextVar[tuple[tuple[Any, Span], ...]]] = ContextVar("clew_limits", default=())


class LimitSpan(Span):
    """The span of a block that a limit holds in."""

    __slots__ = ("block",)

    block: _Block

    def _begin(self, parent: Any = None, *, fresh: bool = False) -> bool:
        here = limits.current()
        if not super()._begin(parent, fresh=fresh):
            return False
        if here is not None:
            here.hold(self, self.block._entry(self))
        return True


class _Block:
    """A limit as context manager, sync and async, and decorator. It can be entered any number of times, also at once."""

    name: str

    def _entry(self, span: Span) -> Any:
        """What holds inside the span."""
        raise NotImplementedError

    def _span(self) -> Any:
        if limits.current() is None:
            self._say_off()
        made = LimitSpan(table.OTHER, str(self), self._attributes())
        made.block = self
        return made

    def _say_off(self) -> None:
        log.warning("recording is off, so %s does not hold: limits see what is recorded", self)

    def _attributes(self) -> dict[str, Any]:
        return {}

    def __enter__(self) -> Self:
        span = self._span()
        span.__enter__()
        _entered.set((*_entered.get(), (self, span)))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        entered = _entered.get()
        index = next((at for at in range(len(entered) - 1, -1, -1) if entered[at][0] is self), None)
        if index is not None:
            _entered.set((*entered[:index], *entered[index + 1 :]))
            entered[index][1].__exit__(kind, error, trace)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: F) -> F:
        """Decorate a function, coroutine function, generator function or async generator function: the limit holds for each call."""
        from clew.record.decorator import decorate

        if state.is_off():
            self._say_off()
        return decorate(function, lambda *_: self._span(), table.OTHER, str(self), {})  # type: ignore[arg-type]  # it only calls it


class budget(_Block):
    """A limit on what model calls may use: ``with clew.budget(usd=0.50): ...``, ``@clew.budget(tokens=20_000)``, or for the whole process
    ``clew.budget("daily", usd=5, window="day").apply()``.

    A hard budget refuses the call that has no room, before it is made; a soft one tells. docs/budgets.md has the rules.

    :param name: names its accounts; in a block without one, file and line do
    :param tokens: most tokens, input and output; :param usd: most US dollars; :param calls: most model calls; :param seconds: longest wall time
    :param per: one account for each run, workflow, stage, agent, persona, model, session or user; None: one for all
    :param window: hour, day, week, month (UTC), or rolling, such as 24h; None: a block counts anew each time it is entered, else for ever
    :param hard: raise :class:`clew.BudgetExceeded`; else warn
    :param thresholds: percents that are told once in each period
    :param unpriced: ``refuse`` or ``count`` calls of models without a price, where USD are limited; None: refuse if hard
    :param agent: only calls of agents of that name, or pattern; likewise the others
    :raises BudgetError: a value cannot be used
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        tokens: float | None = None,
        usd: float | None = None,
        calls: float | None = None,
        seconds: float | None = None,
        per: Scope | None = None,
        window: str | None = None,
        hard: bool = True,
        thresholds: Sequence[float] = declared.THRESHOLDS,
        unpriced: Unpriced | None = None,
        agent: str | None = None,
        persona: str | None = None,
        stage: str | None = None,
        workflow: str | None = None,
        model: str | None = None,
        session: str | None = None,
        user: str | None = None,
    ) -> None:
        self._is_named = name is not None
        self.name = name if name is not None else _caller()
        limits_ = {"tokens": tokens, "usd": usd, "calls": calls, "seconds": seconds}
        rules = {"per": per, "window": window, "hard": hard, "thresholds": tuple(thresholds), "unpriced": unpriced}
        only = {"agent": agent, "persona": persona, "stage": stage, "workflow": workflow, "model": model, "session": session, "user": user}
        given = {"name": self.name, **limits_, **rules, **only}
        self._everywhere: Budget = declared.budget(given, "clew.budget")
        self._inside = budgets.fresh(self._everywhere)
        self._key = ""

    def __str__(self) -> str:
        return f"budget {self.name}"

    def _attributes(self) -> dict[str, Any]:
        return {names.BUDGET_NAME: self.name}

    def _entry(self, span: Span) -> budgets.Entry:
        key = f"@{span.trace_id:032x}{span.span_id:016x}" if self._inside.fresh else ""
        self._key = key
        return budgets.Entry(self._inside, key)

    # -- for the whole process --------------------------------------------------------------------------------------------------------

    def apply(self) -> Self:
        """Let it hold for every model call of this process from now on, in the place of one of the same name.

        :raises BudgetError: it has no name
        """
        if not self._is_named:
            raise BudgetError("a budget for the whole process needs a name, which its accounts are kept under: clew.budget('daily', ...)")
        budgets.applied[self.name] = self._everywhere
        limits.current()
        return self

    def remove(self) -> None:
        """Undo :meth:`apply`. What was spent stays in the ledger."""
        budgets.applied.pop(self.name, None)

    # -- its figures ------------------------------------------------------------------------------------------------------------------

    def state(self, **scope: str) -> BudgetState:
        """The figures of one account: ``state()``, or with ``per="agent"`` ``state(agent="planner")``.

        Inside a block, and after it, they are those of the last entry.

        :raises BudgetError: the budget has an account for each value of a scope, and none is named; or the ledger cannot be used
        """
        ledger, held = self._ledger(), self._held
        return figures.state(ledger.account(held, f"{self._value(scope)}{self._key if held.fresh else ''}"), ledger.now())

    def states(self) -> list[BudgetState]:
        """The figures of all its accounts, those that changed last first.

        :raises BudgetError: the ledger cannot be used
        """
        return figures.states(self._ledger(), [self._held])

    def charge(self, *, tokens: float = 0, usd: float = 0, calls: float = 0, seconds: float = 0, **scope: str) -> None:
        """Book what no span tells. It is spent already, so nothing is refused; thresholds are told.

        What a recorded model call used is booked by itself: do not charge it again.

        :raises BudgetError: as :meth:`state`
        """
        held = self._held
        amounts: dict[Measure, float] = {"tokens": tokens, "usd": usd, "calls": calls, "seconds": seconds}
        key = f"{self._value(scope)}{self._key if held.fresh else ''}"
        here = current_span()
        for verdict in verdicts(self._ledger().settle(None, [Charge(held, key, amounts)])):
            if verdict.message:
                log.warning("%s", verdict.message)
            if here is not None:
                here.event(verdict.event, verdict.attributes)

    def reset(self, **scope: str) -> None:
        """Forget what was spent, of one account or of all.

        :raises BudgetError: the ledger cannot be used
        """
        self._ledger().reset(self.name, self._value(scope) if scope else None)

    @property
    def _held(self) -> Budget:
        return self._inside if self._key else self._everywhere

    def _value(self, scope: dict[str, str]) -> str:
        per = self._everywhere.per
        if set(scope) != ({per} if per else set()):
            wanted = f"{per}=..." if per else "no argument"
            raise BudgetError(
                f"{self} has {f'an account for each {per}' if per else 'one account'}; give {wanted}, not {scope or 'nothing'}"
            )
        return scope[per] if per else ""

    def _ledger(self) -> Any:
        here = limits.current()
        if here is None:
            raise BudgetError(f"recording is off, so {self} does not hold and has no figures; turn it on (CLEW_DISABLED)")
        return here.budgets.ledger


class runaway(_Block):
    """A limit on repetition and fan-out: ``with clew.runaway(repeats=5, depth=4): ...``, a decorator, or ``.apply()`` for the whole process.

    :param repeats: calls of one tool with the same arguments
    :param no_progress: results of one tool, or answers of one model, that are the same (or the same error) one after the other
    :param children: spans directly below one span
    :param depth: agents inside each other
    :param agents: agents in one run, or in the block
    :param hard: raise :class:`clew.LoopDetected` at the step beyond the limit; else warn
    :param name: for ``apply()``, where one of the same name is replaced
    :raises BudgetError: a value cannot be used
    """

    def __init__(
        self,
        *,
        repeats: int | None = None,
        no_progress: int | None = None,
        children: int | None = None,
        depth: int | None = None,
        agents: int | None = None,
        hard: bool = True,
        name: str = "runaway",
    ) -> None:
        self.name = name
        given = {"repeats": repeats, "no_progress": no_progress, "children": children, "depth": depth, "agents": agents, "hard": hard}
        self._limits: Runaway = declared_runaway.runaway(given, "clew.runaway")

    def __str__(self) -> str:
        return self.name

    def _entry(self, span: Span) -> Runaway:
        return self._limits

    def apply(self) -> Self:
        """Let it hold for every run of this process from now on."""
        loops.applied[self.name] = self._limits
        limits.current()
        return self

    def remove(self) -> None:
        """Undo :meth:`apply`."""
        loops.applied.pop(self.name, None)


def _caller() -> str:
    """File and line of who declares it."""
    frame = sys._getframe(2)
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
