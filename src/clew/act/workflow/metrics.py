"""What a run took and cost, by node and in all: the figures of ``clew run --output-format json``, and those of ``${run...}`` in templates.

Times come from the nodes' wrapper, which measures once for record, metrics and trace; tokens and costs from ``__llm_calls__`` alone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from clew.act.workflow.calls import ModelCall
from clew.act.workflow.figures import CachePerformance, Metrics, Section, Summary, ThinkingPerformance, Total, ms, usd
from clew.act.workflow.published import read_usage
from clew.cost.prices import PriceBook
from clew.cost.tariff import cost

Call = Mapping[str, Any]
"""An entry of ``__llm_calls__``."""


class MetricsCollector:
    """Collects the figures of one execution, its planning included.

    :param prices: what models cost; None: the price data as installed
    :ivar start_time: seconds of ``time.perf_counter``; the whole execution is counted from here
    """

    def __init__(self, prices: PriceBook | None = None) -> None:
        self.start_time = time.perf_counter()
        self._prices = prices if prices is not None else PriceBook()
        self._planner = _Phase()
        self._workflow = _Phase()
        self._lock = threading.Lock()

    def record_planner_start(self) -> None:
        self._planner.start()

    def record_planner_end(self) -> None:
        self._planner.end()

    def record_workflow_start(self) -> None:
        self._workflow.start()

    def record_workflow_end(self) -> None:
        self._workflow.end()

    def record_node_execution(self, node_id: str, duration_ms: float, is_planner: bool = False) -> None:
        """One visit of a node has ended, well or not. Every visit of a loop is kept."""
        with self._lock:
            (self._planner if is_planner else self._workflow).visits.setdefault(node_id, []).append(duration_ms)

    def calculate_costs(self, llm_calls: Sequence[Call]) -> float | None:
        """USD of these calls; 0.0 without any. None when one of them cannot be priced."""
        return Tally.of(llm_calls, self._prices).cost_usd

    def get_summary(self, llm_calls: Sequence[Call]) -> dict[str, Any]:
        """Times, tokens and costs, as docs/workflow-runs.md has them."""
        return self.summary(llm_calls).model_dump(mode="json")

    def summary(self, llm_calls: Sequence[Call]) -> Summary:
        total = Tally.of(llm_calls, self._prices)
        sections = {
            name: self._section(phase, [call for call in llm_calls if bool(call.get("is_planner")) is (name == "planner")])
            for name, phase in (("planner", self._planner), ("workflow", self._workflow))
        }
        thinking, budget = total.tokens["thinking"], total.thinking_budget
        return Summary(
            duration_ms=ms(1e3 * ((self._workflow.ended or self._planner.ended or time.perf_counter()) - self.start_time)),
            duration_planner_ms=self._planner.duration_ms,
            total_cost_usd=usd(total.cost_usd),
            num_nodes=sum(section.nodes_executed for section in sections.values() if section is not None),
            **total.doubts(),
            cache_performance=_cache_performance(total),
            thinking_performance=ThinkingPerformance(
                thinking_tokens_used=thinking,
                thinking_budget_allocated=budget,
                thinking_utilization_pct=round(100 * thinking / budget, 1),
            )
            if budget
            else None,
            metrics=Metrics(
                planner=sections["planner"],
                workflow=sections["workflow"],
                total=Total(**total.figures(), total_calls=total.calls),
            ),
        )

    def _section(self, phase: _Phase, llm_calls: Sequence[Call]) -> Section | None:
        """None without nodes or calls: there is nothing to say."""
        if not phase.visits and not llm_calls:
            return None
        tally = Tally.of(llm_calls, self._prices)
        return Section(
            duration_ms=phase.duration_ms,
            nodes_executed=sum(map(len, phase.visits.values())),
            node_timings={node_id: ms(sum(visits)) for node_id, visits in phase.visits.items()},
            node_visits={node_id: list(map(ms, visits)) for node_id, visits in phase.visits.items() if len(visits) > 1},
            models_used=sorted(tally.models),
            cache_creation_tokens=tally.tokens["cache_creation"],
            cache_read_tokens=tally.tokens["cache_read"],
            thinking_tokens=tally.tokens["thinking"],
            thinking_budget=tally.thinking_budget,
            **tally.figures(),
            **tally.doubts(),
        )


@dataclass(slots=True)
class _Phase:
    """Planning, or the workflow. Times are seconds of ``time.perf_counter``; 0: not yet."""

    started: float = 0.0
    ended: float = 0.0
    visits: dict[str, list[float]] = field(default_factory=dict)

    def start(self) -> None:
        self.started = time.perf_counter()

    def end(self) -> None:
        self.ended = time.perf_counter()

    @property
    def duration_ms(self) -> float | None:
        """Up to now while it goes on; None when it has not begun."""
        return ms(1e3 * ((self.ended or time.perf_counter()) - self.started)) if self.started else None


def _cache_performance(tally: Tally) -> CachePerformance | None:
    written, read = tally.tokens["cache_creation"], tally.tokens["cache_read"]
    if not written + read:
        return None
    return CachePerformance(
        cache_creation_tokens=written,
        cache_read_tokens=read,
        cache_efficiency_pct=round(100 * read / (written + read), 1),
        cache_total_tokens=written + read,
    )


@dataclass(slots=True)
class Tally:
    """Sums over model calls."""

    calls: int = 0
    without_usage: int = 0
    tokens: dict[str, int] = field(default_factory=lambda: {"input": 0, "output": 0, "cache_creation": 0, "cache_read": 0, "thinking": 0})
    thinking_budget: int = 0
    models: set[str] = field(default_factory=set)
    partial_cost_usd: float = 0.0
    unpriced_models: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, llm_calls: Sequence[Call], prices: PriceBook) -> Tally:
        tally = cls()
        for call in llm_calls:
            tally._add(call, prices)
        return tally

    def _add(self, call: Call, prices: PriceBook) -> None:
        usage = read_usage(call)
        model = str(call.get("model") or "")
        self.calls += 1
        self.models.update(filter(None, [model]))
        if usage is not None:
            self.tokens["input"] += usage.input_tokens or 0
            self.tokens["output"] += usage.output_tokens or 0
            self.tokens["cache_creation"] += usage.cache_write_tokens or 0
            self.tokens["cache_read"] += usage.cache_read_tokens or 0
            self.tokens["thinking"] += usage.reasoning_tokens or 0
        budget = call.get("thinking_budget")
        self.thinking_budget += budget if isinstance(budget, int) else 0
        found = call_cost(call, prices)
        if found is not None:
            self.partial_cost_usd += found
        elif usage is None:
            self.without_usage += 1
        else:
            self.unpriced_models.add(model or "(no name)")

    @property
    def is_priced(self) -> bool:
        """Whether the cost of every call is known."""
        return not self.unpriced_models and not self.without_usage

    @property
    def cost_usd(self) -> float | None:
        return self.partial_cost_usd if self.is_priced else None

    def figures(self) -> dict[str, Any]:
        incoming, outgoing = self.tokens["input"], self.tokens["output"]
        return {
            "tokens_input": incoming,
            "tokens_output": outgoing,
            "tokens_total": incoming + outgoing,
            "cost_usd": usd(self.cost_usd),
        }

    def doubts(self) -> dict[str, Any]:
        """What is said only when the cost is not known."""
        if self.is_priced:
            return {}
        return {
            "pricing_available": False,
            "unavailable_models": sorted(self.unpriced_models),
            "partial_cost_usd": usd(self.partial_cost_usd),
            "calls_without_usage": self.without_usage,
        }


def call_cost(call: Call, prices: PriceBook) -> float | None:
    """USD of one call: nothing when it was served from a recording, else what the provider reported, else tokens times the price of the
    call's time. None: not known."""
    if call.get("served_from_cache"):
        return 0.0
    reported = call.get("cost_usd")
    if isinstance(reported, (int, float)):
        return float(reported)
    usage, model = read_usage(call), call.get("model")
    if usage is None or not model:
        return None
    tariff = prices.tariff(call.get("provider") or None, str(model))
    return cost(usage, tariff, _time_of(call)) if tariff is not None else None


def _time_of(call: Call) -> datetime:
    """When the call was made; an entry without a time was made just now."""
    try:
        return datetime.fromisoformat(call["timestamp"])
    except (KeyError, TypeError, ValueError):
        return datetime.now(UTC)


def run_figures(llm_calls: Sequence[ModelCall], prices: PriceBook | None = None) -> dict[str, Any]:
    """The figures of ``${run...}``: ``calls``, ``tokens``, ``input_tokens``, ``output_tokens``, ``cost_usd`` (None when a call cannot be
    priced), ``partial_cost_usd``, ``unpriced_models``."""
    tally = Tally.of([call.entry() for call in llm_calls], prices if prices is not None else PriceBook())
    return {
        "calls": tally.calls,
        "tokens": tally.tokens["input"] + tally.tokens["output"],
        "input_tokens": tally.tokens["input"],
        "output_tokens": tally.tokens["output"],
        "cost_usd": usd(tally.cost_usd),
        "partial_cost_usd": usd(tally.partial_cost_usd),
        "unpriced_models": sorted(tally.unpriced_models),
    }
