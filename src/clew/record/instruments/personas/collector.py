"""Keeps the personas of a process: who acts, in which mode, what they use, how their stages go."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections import Counter, deque
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, NamedTuple

from clew.model import attributes as names
from clew.record import labels
from clew.record.control import current_span
from clew.record.guard import fault
from clew.record.instruments.functions import agent
from clew.record.instruments.personas import stage as stages
from clew.record.instruments.personas.budget import PersonaBudget
from clew.record.instruments.personas.carried import CARRIED, Usage
from clew.record.instruments.personas.gate import TOLD, record_gate
from clew.record.instruments.personas.profiles import FIRST, profiles
from clew.record.instruments.personas.stage import Stage, identity
from clew.record.metrics import metric
from clew.record.metrics.endpoint import metrics_collector
from clew.record.noop import NOOP

_MOST_STAGES: Final = 1000
"""Ended stages that are remembered, so that a caller who tells of one does not count it twice."""


class Told(NamedTuple):
    """Whose tokens a caller tells of: labels of hypertool_persona_tokens_used_total."""

    persona: str
    chatmode: str
    model: str


class PersonaMetricsCollector:
    """Switches, tokens, stages and budgets of personas. Any number of them may be in one process; none raises into the program.

    What it is told becomes records; the metrics ``hypertool_*`` come from them (docs/personas.md), with or without ``prometheus_client``.
    Each persona of a profile has a token budget (``personas.toml``): each collector its own, unless the profile names a window. A budget is soft
    unless its profile says ``hard``: it goes below zero, and warns.

    :param registry: a ``prometheus_client`` registry that is to show the metrics too; ``clew.serve_metrics()`` shows them anyway
    :raises PersonaError: the file of personas cannot be used
    """

    def __init__(self, registry: Any = None) -> None:
        self._lock = threading.RLock()
        self._session: Any = None
        self._chatmode: str | None = None
        self._persona: str | None = None
        self._ended: deque[tuple[int, tuple[str, str, str], bool]] = deque(maxlen=_MOST_STAGES)
        self._early: dict[int, tuple[Told, int]] = {}
        """Open calls in which tokens were told: whose, and how many."""
        self._seen: Counter[Usage] = CARRIED.totals()
        owner = os.urandom(4).hex()
        self._budgets = {name: PersonaBudget(found, owner) for name, found in profiles().items() if found.tokens is not None}
        for budget in self._budgets.values():
            budget.apply()
            weakref.finalize(self, budget.remove)
        CARRIED.attend(self)
        shown = metrics_collector()  # figures that spans give count from now on
        with _making:
            if registry is not None and registry not in _REGISTRIES:
                _REGISTRIES.add(registry)
                registry.register(shown)

    # -- personas -----------------------------------------------------------------------------------------------------------------

    def switch_persona(self, from_persona: str | None, to_persona: str, chatmode: str) -> None:
        """Another persona acts from now on: ends the session of the one that acted, with its own chatmode, and begins the next.

        Model calls that name no persona are the new one's: in this task or thread and what it starts.

        :param from_persona: None at first
        """
        try:
            with self._lock:
                self.close()
                before = from_persona or FIRST
                session = agent(to_persona, persona=to_persona, **{names.PERSONA_FROM: before, names.CHATMODE: chatmode})
                self._session = session.start()
                self._persona, self._chatmode = to_persona, chatmode
                labels.put(persona=to_persona, chatmode=chatmode)
                _attend(self)
            metric("hypertool_persona_switches_total").labels(from_persona=before, to_persona=to_persona, chatmode=chatmode).inc()
            self._show(to_persona)
        except Exception:
            fault("switching the persona")

    @property
    def persona(self) -> str | None:
        """Who acts; None before the first switch and after :meth:`close`."""
        return self._persona

    @property
    def chatmode(self) -> str | None:
        return self._chatmode

    def close(self, *, within: int | None = None) -> None:
        """Ends the session of the persona that acts. At exit, and at the end of its run, it ends by itself.

        :param within: only when it belongs to this trace
        """
        with self._lock:
            session = self._session
            if session is None or (within is not None and session.trace_id != within):
                return
            if session is not NOOP:
                session.status_code = 1
            session.end()
            self._session = self._persona = self._chatmode = None
            labels.put(persona=None, chatmode=None)
            _OPEN.discard(self)

    # -- tokens and budgets -------------------------------------------------------------------------------------------------------

    def record_token_usage(self, persona: str, chatmode: str, model: str, tokens: int, *, call: Any = None) -> None:
        """A persona has used so many tokens of a model since this was last said.

        What recorded model calls of the persona have carried meanwhile is part of it and is not added again: only the rest is.

        :param tokens: input and output
        :param call: the recorded model call that is meant, which carries them itself: then nothing is added
        """
        try:
            if tokens < 0:
                raise ValueError(f"tokens = {tokens}: a persona cannot use fewer than none")
            if call is not None and call is not NOOP:
                return
            here = current_span()
            with self._lock:
                told = Told(persona, chatmode, model)
                if here is not None and here.kind == "llm":  # its own tokens are known when it ends
                    self._early[here.span_id] = told, tokens
                    return
                rest = max(tokens - self._take(persona, model), 0)
            self._add(told, rest)
        except Exception:
            fault("recording tokens")

    def get_remaining_budget(self, persona: str) -> int | None:
        """Tokens left of a persona's budget, negative once it is overspent; None for a persona without one."""
        try:
            budget = self._budgets.get(persona)
            return None if budget is None else budget.remaining()
        except Exception:
            fault("reading a budget")
            return None

    def reset_budget(self, persona: str) -> None:
        """Gives a persona its whole budget again. Nothing for a persona without one."""
        try:
            if persona in self._budgets:
                self._budgets[persona].reset()
                self._show(persona)
        except Exception:
            fault("resetting a budget")

    def call_ended(self, span_id: int, persona: str, tokens: int, booked: set[str]) -> None:
        """A model call has ended: for :mod:`carried`."""
        try:
            budget = self._budgets.get(persona)
            if budget is not None and tokens:
                if not budget.hard and budget.name not in booked:
                    booked.add(budget.name)
                    budget.charge(tokens)
                self._show(persona)
            with self._lock:
                early = self._early.pop(span_id, None)
                carried = 0 if early is None else self._take(early[0].persona, early[0].model)
            if early is not None:
                self._add(early[0], max(early[1] - carried, 0))
        except Exception:
            fault("recording tokens")

    def _take(self, persona: str, model: str) -> int:
        """Tokens that calls of the model have carried since this was last asked."""
        taken = 0
        for usage, total in CARRIED.totals().items():
            if usage.persona == persona and model in (usage.request_model, usage.response_model):
                taken += total - self._seen[usage]
                self._seen[usage] = total
        return taken

    def _add(self, told: Told, tokens: int) -> None:
        if tokens:
            metric("hypertool_persona_tokens_used_total").labels(**told._asdict()).inc(tokens)
            if told.persona in self._budgets:
                self._budgets[told.persona].charge(tokens)
        self._show(told.persona)

    def _show(self, persona: str) -> None:
        """Of personas that have acted only: whole budgets of others would hide what another process knows of them."""
        if persona in self._budgets:
            metric("hypertool_persona_token_budget_remaining").labels(persona=persona).set(self._budgets[persona].remaining())

    # -- stages -------------------------------------------------------------------------------------------------------------------

    def track_stage(self, workflow: str, stage: str, persona: str, auto_quality_gate: bool = True) -> AbstractContextManager[Any]:
        """``with collector.track_stage("release", "build", "devops-engineer"):`` records how long it takes, and a gate: passed unless something is raised.

        The stage that the code is in already is not recorded again.

        :param auto_quality_gate: False: no gate but those told inside
        """
        here = stages.current.get()
        if here is not None and here.key == (workflow, stage, persona):
            return nullcontext(current_span())
        return self.stage(workflow, stage, persona, own_gate=auto_quality_gate)

    def stage(self, workflow: str, stage: str, persona: str, **options: Any) -> Stage:
        """A stage, as :class:`Stage` makes it, that this collector remembers."""
        chatmode = self._chatmode if persona == self._persona else None
        return Stage(workflow, stage, persona, chatmode=chatmode, ended=self._remember, **options)

    def record_workflow_stage(self, workflow: str, stage: str, persona: str, duration_seconds: float, quality_gate_passed: bool) -> None:
        """A stage took so long and passed its gate, or not.

        Within that stage, or after it was traced in this run, only the gate's verdict is taken: the stage is recorded already.
        """
        try:
            key = (workflow, stage, persona)
            here = stages.current.get()
            if here is not None and here.key == key:
                here.tell(quality_gate_passed)
                return
            known = self._recall(key)
            if known is not None:
                if known != quality_gate_passed:
                    record_gate(identity(*key), passed=quality_gate_passed, name=TOLD)
                return
            past = Stage(workflow, stage, persona, chatmode=self._chatmode if persona == self._persona else None, own_gate=False)
            with past as span:
                past.tell(quality_gate_passed)
                if span is not NOOP:
                    span.started -= round(max(duration_seconds, 0.0) * 1e9)
        except Exception:
            fault("recording a stage")

    def _remember(self, ended: Stage, trace_id: int) -> None:
        self._ended.append((trace_id, ended.key, ended.passed))

    def _recall(self, key: tuple[str, str, str]) -> bool | None:
        """Whether the stage passed that was traced and not told of yet; None when there is none."""
        here = current_span()
        with self._lock:
            for entry in self._ended:
                if entry[1] == key and (here is None or here.trace_id == entry[0]):
                    self._ended.remove(entry)
                    return entry[2]
        return None


_OPEN: Final[weakref.WeakSet[PersonaMetricsCollector]] = weakref.WeakSet()
_REGISTRIES: Final[weakref.WeakSet[Any]] = weakref.WeakSet()
"""Registries that show the metrics already."""
_making: Final = threading.RLock()
_collector: PersonaMetricsCollector | None = None


def get_persona_metrics() -> PersonaMetricsCollector:
    """The process's own collector, made on first use."""
    global _collector
    if _collector is None:
        with _making:
            if _collector is None:
                _collector = PersonaMetricsCollector()
    return _collector


def reset_persona_metrics() -> None:
    """Ends the session of the process's own collector; the next one begins anew, with whole budgets."""
    global _collector
    with _making:
        if _collector is not None:
            _collector.close()
        _collector = None


def _attend(collector: PersonaMetricsCollector) -> None:
    """Have its session end at exit. The recorder attended first, with the session's span, so it still writes then."""
    if not _OPEN:
        atexit.unregister(_close_all)
        atexit.register(_close_all)
    _OPEN.add(collector)


def _close_all() -> None:
    for collector in list(_OPEN):
        collector.close()
