"""Personas and the stages and gates of their workflows."""

from __future__ import annotations

from typing import Final

from clew.model import attributes as names
from clew.model.catalogue.metric import STATUS, Derived, Label, Metric

PASSED: Final = {"ok": "passed", "unset": "passed", "error": "failed"}

_PERSONA: Final = Label("persona", (names.PERSONA,))
_CHATMODE: Final = Label("chatmode", (names.CHATMODE,))
_WORKFLOW: Final = Label("workflow", (names.WORKFLOW_NAME,))
_STAGE: Final = Label("stage", (names.STAGE,))

METRICS: Final = (
    Metric(
        "hypertool_persona_switches_total",
        "counter",
        "Switches from one persona to another; from none at first",
        (Label("from_persona", default="none"), Label("to_persona"), _CHATMODE),
    ),
    Metric(
        "hypertool_persona_duration_seconds",
        "histogram",
        "How long a persona was at work, from the switch to it to the switch away",
        (_PERSONA, _CHATMODE),
        unit="s",
        buckets=(0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600),
        derived=(Derived("agent", "duration", where={names.PERSONA_FROM: ()}),),
    ),
    Metric(
        "hypertool_persona_tokens_used_total",
        "counter",
        "Tokens that a persona used, in and out",
        (_PERSONA, _CHATMODE, Label("model", (names.REQUEST_MODEL, names.RESPONSE_MODEL))),
        unit="token",
        derived=tuple(
            Derived(kind, "value", (names.INPUT_TOKENS, names.OUTPUT_TOKENS), where={names.PERSONA: ()}) for kind in ("llm", "embedding")
        ),
    ),
    Metric(
        "hypertool_persona_token_budget_remaining",
        "gauge",
        "Tokens left of a persona's budget; negative once it is overspent",
        (_PERSONA,),
        unit="token",
        across="last",
    ),
    Metric(
        "hypertool_workflow_stage_duration_seconds",
        "histogram",
        "How long a stage of a workflow took",
        (_WORKFLOW, _STAGE, _PERSONA),
        unit="s",
        buckets=(0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600),
        derived=(Derived("node", "duration", where={names.STAGE: ()}),),
    ),
    Metric(
        "hypertool_workflow_quality_gate_total",
        "counter",
        "Quality gates that a stage passed or failed",
        (_WORKFLOW, _STAGE, Label("result", (names.GATE_RESULT, STATUS), ("passed", "failed"), PASSED)),
        derived=(Derived("gate", "count", where={names.STAGE: ()}),),
    ),
)
