"""Budgets at work: each model call reserves before it is made, and what it used takes the reservation's place when it has ended."""

from __future__ import annotations

import logging
import random
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clew.cost.budgets import estimate, places
from clew.cost.budgets.budget import Budget
from clew.cost.budgets.ledger import Charge, Claim, Ledger, LedgerError, ledger_path
from clew.cost.budgets.verdicts import Verdict, verdicts
from clew.errors import BudgetError, BudgetExceeded, ClewError, MissingExtra, Refused
from clew.model import attributes as names
from clew.model.reading import REFUSED
from clew.model.usage import Usage
from clew.record.limits import reading
from clew.record.limits.tree import Frame

if TYPE_CHECKING:
    from clew.cost.budgets.declared import Declared
    from clew.cost.prices import PriceBook
    from clew.record.recorder import Settings
    from clew.record.span import Span

log: Final = logging.getLogger("clew")

WARNED_EVERY_S: Final = 60.0
LOOKED_EVERY_S = 0.5
"""Seconds between two looks for a change of the files."""
_calls: Final = random.SystemRandom()

MOST_LATE: Final = 10_000
"""Calls whose booking waits for a ledger that cannot be written; beyond it the oldest are forgotten."""

applied: Final[dict[str, Budget]] = {}
"""Budgets that code declared for the whole process, by name."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry into the block of a budget."""

    budget: Budget
    key: str
    """Of its accounts: each entry has its own, where the budget has no window."""


@dataclass(frozen=True, slots=True)
class _Account:
    """An account that a span belongs to.

    :ivar clock: the span whose start the wall time counts from
    :ivar lasts: the account's wall time is all the time since then; else that of each such span is added up when it ends
    """

    budget: Budget
    key: str
    clock: Frame
    lasts: bool


class Budgets:
    """All budgets that hold in this process, and their ledger.

    :param now: seconds since 1970
    :param mono: nanoseconds of the clock that spans are timed by
    """

    def __init__(self, settings: Settings, mono: Callable[[], int], *, now: Callable[[], float] = time.time) -> None:
        self.settings = settings
        self.ledger = Ledger(ledger_path(settings.data_dir, settings.budget_ledger), now=now)
        self.mono = mono
        self._places: tuple[Path, ...] = places(settings.data_dir, settings.budgets)
        self._looked = -LOOKED_EVERY_S
        self._mark: Any = None
        self._declared: Declared | None = None
        self._fault: BudgetError | None = None
        self._late: deque[tuple[int | None, list[Charge]]] = deque(maxlen=MOST_LATE)
        self._warned: dict[str, float] = {}
        self._prices: PriceBook | None = None
        self._unpriced_because: dict[tuple[str | None, str], str] = {}

    # -- a call ---------------------------------------------------------------------------------------------------------------------

    def start(self, frame: Frame, span: Span) -> None:
        """:raises Refused: a hard budget has no room for the call"""
        if reading.value(span, "cache_hit") is True:
            return
        ledger = self.ledger
        try:
            self._settle_late()
            self._reserve(frame, span)
        except BudgetError as error:
            self._stands(error)
            if self.ledger is not ledger:
                self._reserve(frame, span)

    def _reserve(self, frame: Frame, span: Span) -> None:
        accounts = list(self._accounts(frame, raising=True))
        if not accounts:
            return
        used = self._expected(frame, span)
        tokens = float((used.input_tokens or 0) + (used.output_tokens or 0))
        usd = self._usd(span, used) if any("usd" in account.budget.limits for account in accounts) else None
        claims = []
        for account in accounts:
            budget = account.budget
            if usd is None and "usd" in budget.limits and budget.unpriced == "refuse":
                raise self._no_price(account, span)
            running = self._elapsed(account.clock) if "seconds" in budget.limits else 0.0
            claims.append(Claim(budget, account.key, {"tokens": tokens, "calls": 1.0, "usd": usd or 0.0}, running, account.lasts))
        around = next((outer for outer in frame.path() if outer is not frame and outer.call is not None), None)
        call = _calls.getrandbits(62)
        refusal = self.ledger.reserve(call, claims, instead_of=None if around is None else around.call)
        if around is not None:
            around.call = None
        if refusal is not None:
            sent = f" ({used.input_tokens or 0:,} in, {used.output_tokens or 0:,} out)" if refusal.measure in ("tokens", "usd") else ""
            raise refusal.error(sent)
        frame.call, frame.accounts, frame.expected = call, tuple(accounts), (tokens, usd)

    def end(self, frame: Frame, span: Span | None) -> list[Verdict]:
        """Books what the span used; the verdicts are thresholds that it passed.

        :param span: None: it was given up without an end, and keeps its estimate
        """
        used = None if span is None else reading.usage(span)
        error = None if span is None else span.given.get(names.ERROR_TYPE)
        refused = frame.kind in reading.MODELS and error in REFUSED
        is_call = frame.kind in reading.MODELS and not frame.model_below and not refused
        charges = self._lasted(frame)
        if not refused and (is_call or (used is not None and not frame.usage_below)):
            charges += self._used(frame, span, used, error, is_call)
        call, frame.call = frame.call, None
        _tell_above(frame, used is not None, refused)
        if not charges and call is None:
            return []
        try:
            self._settle_late()
            return verdicts(self.ledger.settle(call, charges))
        except LedgerError as fault:
            self._late.append((call, charges))
            self._warn(f"{fault}. What was spent is booked with the next call")
            return []

    def _settle_late(self) -> None:
        """Book what could not be booked when it was spent."""
        while self._late:
            try:
                call, charges = self._late.popleft()
            except IndexError:  # another thread has
                return
            try:
                self.ledger.settle(call, charges)
            except LedgerError:
                self._late.appendleft((call, charges))
                raise

    def _used(self, frame: Frame, span: Span | None, used: Usage | None, error: Any, is_call: bool) -> list[Charge]:
        """What a call used of each account; in the place of usage that nobody told stands what was expected."""
        accounts: Sequence[_Account] = frame.accounts or list(self._accounts(frame))
        if not accounts:
            return []
        local = span is not None and reading.value(span, "cache_hit") is True
        tokens, cost = 0.0, 0.0 if span is None else reading.number(span, "reported_cost_usd")
        estimated = False
        if local or (used is None and error in reading.USED_NOTHING):
            cost = 0.0
        elif used is not None and span is not None:
            tokens = float((used.input_tokens or 0) + (used.output_tokens or 0))
            if cost is None and any("usd" in account.budget.limits for account in accounts):
                cost = self._usd(span, used)
        else:
            estimated = True
            if frame.expected is None and span is not None:  # its start told nothing: a span of a foreign instrumentation
                expected = self._expected(frame, span)
                frame.expected = float((expected.input_tokens or 0) + (expected.output_tokens or 0)), self._usd(span, expected)
            tokens, guess = frame.expected or (0.0, None)
            cost = cost if cost is not None and span is not None else guess
            if span is not None:
                span.given[names.BUDGET_ESTIMATED] = True
        charges = [
            Charge(
                account.budget,
                account.key,
                {
                    "tokens": max(tokens - frame.guessed[0], 0.0),
                    "usd": max((cost or 0.0) - frame.guessed[1], 0.0),
                    "calls": 0.0 if local or (frame.model_below and not is_call) else 1.0,
                },
                estimated=estimated,
                unpriced="usd" in account.budget.limits and cost is None,
                at=self._wall(frame.started),
                elapsed=self._elapsed(account.clock) if account.lasts and "seconds" in account.budget.limits else None,
            )
            for account in accounts
        ]
        if estimated:
            frame.guessed = tokens, cost or 0.0
        return charges

    def _lasted(self, frame: Frame) -> list[Charge]:
        """The wall time of a span that opened a scope."""
        return [
            Charge(account.budget, account.key, {"seconds": self._elapsed(frame)}, at=self._wall(frame.started))
            for account in self._accounts(frame, timed=True)
            if account.clock is frame and not account.lasts
        ]

    def _expected(self, frame: Frame, span: Span) -> Usage:
        most = reading.number(span, "max_tokens")
        used = estimate.usage(reading.sent_bytes(span), None if most is None else int(most), self.settings.budget_output_tokens)
        return used if frame.kind != "embedding" else Usage(input_tokens=used.input_tokens, output_tokens=0)

    # -- which accounts -------------------------------------------------------------------------------------------------------------

    def _accounts(self, frame: Frame, *, timed: bool = False, raising: bool = False) -> Iterator[_Account]:
        """Those that the span belongs to.

        :param timed: only of budgets that limit wall time
        :raises Refused: with ``raising``, when a file cannot be used and ``budget_failure`` is closed
        """
        for budget in self._everywhere(raising):
            if timed and "seconds" not in budget.limits:
                continue
            for key in _keys(frame, budget):
                yield _Account(budget, key, _clock(frame, budget, key) or frame.root, budget.per == "run")
        for outer in frame.path():
            for entry in outer.blocks:
                if isinstance(entry, Entry) and not (timed and "seconds" not in entry.budget.limits):
                    for key in _keys(frame, entry.budget):
                        clock = outer if entry.budget.fresh else _clock(frame, entry.budget, key) or outer
                        yield _Account(entry.budget, f"{key}{entry.key}", clock, entry.budget.fresh)

    def _everywhere(self, raising: bool) -> Sequence[Budget]:
        """Budgets that hold for the whole process: those of the files, as they are now, and those applied in code. Of a file that cannot be
        used, what it declared before holds."""
        declared = self.declared
        if self._fault is not None and raising:
            self._stands(self._fault)
        of_files = () if declared is None else declared.budgets
        return [*(budget for budget in of_files if budget.name not in applied), *applied.values()]

    @property
    def declared(self) -> Declared | None:
        """What the files declare; looked at again every half second."""
        now = time.monotonic()
        if now - self._looked >= LOOKED_EVERY_S:
            self._looked = now
            mark = tuple(map(_state_of, self._places))
            if mark != self._mark:
                self._mark = mark
                self._read()
        return self._declared

    def _read(self) -> None:
        from clew.cost.budgets import declared

        try:
            if self.settings.budgets is not None and not self.settings.budgets.exists():
                raise BudgetError(f"{self.settings.budgets} is not there; create it, or unset CLEW_BUDGETS")
            self._declared, self._fault = declared.read_all(self._places), None
        except BudgetError as error:
            self._fault = error

    def _elapsed(self, frame: Frame) -> float:
        return max(self.mono() - frame.started, 0) / 1e9

    def _wall(self, started: int) -> float:
        return self.ledger.now() - max(self.mono() - started, 0) / 1e9

    # -- prices ---------------------------------------------------------------------------------------------------------------------

    def _usd(self, span: Span, used: Usage) -> float | None:
        provider = reading.text(span, "provider")
        models = [model for name in ("response_model", "request_model") if (model := reading.text(span, name)) is not None]
        at = datetime.fromtimestamp(self._wall(span.started), UTC)
        for model in models:
            found = self._priced(provider, model, used, at)
            if found is not None:
                return found
        return None

    def _priced(self, provider: str | None, model: str, used: Usage, at: datetime) -> float | None:
        try:
            if self._prices is None:
                from clew.cost.prices import PriceBook

                self._prices = PriceBook.from_settings(self.settings.data_dir)
            return estimate.usd(self._prices, provider, model, used, at)
        except (ClewError, ImportError) as error:
            self._unpriced_because[provider, model] = str(error)
            if not isinstance(error, MissingExtra):
                self._warn(str(error))
            return None

    def _no_price(self, account: _Account, span: Span) -> BudgetExceeded:
        budget = account.budget
        model = reading.text(span, "request_model") or "(a model without a name)"
        because = self._unpriced_because.get((reading.text(span, "provider"), model), "")
        return BudgetExceeded(
            f"budget {budget.name} limits USD, and the price of {model} is not known{f' ({because})' if because else ''}: "
            'add it to prices.toml, or declare the budget with unpriced = "count"',
            budget=budget.name,
            limit=budget.limits["usd"],
            attributes={names.BUDGET_NAME: budget.name, names.BUDGET_KEY: account.key, names.BUDGET_LIMIT: budget.limits["usd"]},
        )

    # -- faults ---------------------------------------------------------------------------------------------------------------------

    def _stands(self, error: BudgetError) -> None:
        """The rule for budgets that cannot be read or written.

        :raises Refused: the setting ``budget_failure`` is closed
        """
        if self.settings.budget_failure == "closed":
            raise Refused(f"{error} (CLEW_BUDGET_FAILURE=open lets calls go on without budgets)") from error
        if isinstance(error, LedgerError) and not error.busy and self.ledger.path is not None:
            self._warn(f"{error}. Until then budgets hold within this process alone, from zero")
            self.ledger = Ledger(None, now=self.ledger.now)
        else:
            self._warn(f"{error}. The call goes on; CLEW_BUDGET_FAILURE=closed refuses it")

    def _warn(self, text: str) -> None:
        now = time.monotonic()
        if now - self._warned.get(text, -WARNED_EVERY_S) >= WARNED_EVERY_S:
            if len(self._warned) > 1000:
                self._warned.clear()
            self._warned[text] = now
            log.warning("%s", text)


def _tell_above(frame: Frame, has_usage: bool, refused: bool) -> None:
    """What the span around must know, so that nothing is counted twice: only leaves are."""
    above = frame.parent
    if above is None:
        return
    above.model_below |= frame.model_below or (frame.kind in reading.MODELS and not refused)
    above.usage_below |= frame.usage_below or has_usage
    if not has_usage and not frame.usage_below:
        above.guessed = above.guessed[0] + frame.guessed[0], above.guessed[1] + frame.guessed[1]


def _clock(frame: Frame, budget: Budget, value: str) -> Frame | None:
    """The span that the wall time of a scope's value counts from; None: the scope has none of its own."""
    if budget.per == "model":
        return frame if frame.kind in reading.MODELS else None
    if budget.per is not None and budget.per != "run":
        return frame.opener(budget.per, value)
    for scope in budget.only:
        return frame.opener(scope, next(found for found in frame.values(scope) if budget.admits(scope, found)))
    return None


def _keys(frame: Frame, budget: Budget) -> list[str]:
    """The accounts of a budget that a span belongs to; none when it does not match, or has no value of the scope."""
    for scope in budget.only:
        if scope != budget.per and not any(budget.admits(scope, value) for value in frame.values(scope)):
            return []
    if budget.per is None:
        return [""]
    per = budget.per
    return [value for value in frame.values(per) if budget.admits(per, value)]


def _state_of(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def fresh(budget: Budget) -> Budget:
    """As the budget of a block: without a window, each entry has accounts of its own."""
    return replace(budget, fresh=budget.window is None)
