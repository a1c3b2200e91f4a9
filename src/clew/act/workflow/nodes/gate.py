"""The node type ``gate``: a quality gate between nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field, model_validator

from clew.act.workflow import running
from clew.act.workflow.document import DEFAULT
from clew.act.workflow.nodes import llm, node
from clew.act.workflow.nodes.function import PATTERN, find
from clew.act.workflow.nodes.limit import within
from clew.record.instruments.gates import checks
from clew.record.instruments.gates.finding import Finding, finding
from clew.record.instruments.gates.gate import gate

FAILED: Final = "failed"
"""Action of a gate that branches and is not passed."""

_VERDICT: Final = {
    "title": "verdict",
    "type": "object",
    "properties": {"passed": {"type": "boolean"}, "reason": {"type": "string"}, "score": {"type": "number"}},
    "required": ["passed", "reason"],
    "additionalProperties": False,
}
"""What a model that judges must answer."""


class GateNode(node.NodeType):
    """Makes one check and records its verdict as a gate. A required gate that is not passed fails the node."""

    type = "gate"
    kind = "gate"
    outputs: ClassVar[Mapping[str, str]] = {
        "result": "``passed``, ``failed``, or ``error`` when the check itself could not be made",
        "reason": "Why, in one line",
        "score": "What was measured; null where nothing is",
        "evidence": "What the verdict rests on, such as the exit code and the end of an output",
    }

    class Params(node.Params):
        name: str | None = None
        """Name of the gate; without it the node's id."""
        command: str | list[str] | None = None
        """Passed when it ends with exit code 0: a text for ``/bin/sh -c``, or a program and its arguments."""
        junit: str | None = None
        """Passed when this JUnit XML report tells of tests, and of none that failed."""
        coverage: str | None = None
        """Passed when this coverage report (Cobertura XML, or coverage.py's JSON) has ``at_least`` percent."""
        function: Annotated[str, Field(pattern=PATTERN)] | None = None
        """``package.module:name`` of a function that gives a verdict: true or false, a score, or a mapping with ``passed``."""
        args: dict[str, Any] = Field(default_factory=dict)
        """Its keyword arguments."""
        value: Any = None
        """A verdict that is there already, most often a template."""
        model: llm.ModelName | None = None
        """A model that judges what ``prompt`` shows it, as ``PROVIDER:MODEL``."""
        prompt: str | None = None
        """What it is to judge, and by what."""
        base_url: str | None = None
        """Address of the model's API instead of the provider's own."""
        at_least: float | None = None
        """What a score must be."""
        required: bool = True
        """Whether the node fails when the gate is not passed; else it is advisory."""
        branch: bool = False
        """End with the action ``failed`` when it is not passed, for an edge of its own; not with ``required``."""
        timeout_s: Annotated[float, Field(gt=0)] = 600.0
        """Longest time of a command."""

        @model_validator(mode="after")
        def _one_check(self) -> GateNode.Params:
            given = [name for name in _CHECKS if getattr(self, name) is not None or (name == "value" and name in self.model_fields_set)]
            if len(given) != 1:
                raise ValueError(f"a gate makes one check, and {' and '.join(given) or 'none'} is given; give one of {', '.join(_CHECKS)}")
            if (self.model is None) != (self.prompt is None):
                raise ValueError("a model judges what prompt shows it: give model and prompt")
            if self.coverage is not None and self.at_least is None:
                raise ValueError("coverage needs at_least, in percent")
            if self.branch and self.required and "required" in self.model_fields_set:
                raise ValueError("a required gate fails the node and takes no edge; give required: false with branch")
            return self

    @classmethod
    def load(cls, params: Mapping[str, Any]) -> None:
        if params.get("model") is not None:
            llm.LlmNode.load(params)

    def execute(self, params: Params) -> dict[str, Any]:
        visit, run = running.visit.get(), running.run.get()
        node_id = visit.path.rpartition("/")[2] if visit is not None else "gate"
        workflow = {"workflow": run.name} if run is not None and run.name else {}
        made = gate(
            params.name or node_id, required=params.required and not params.branch, at_least=params.at_least, stage=node_id, **workflow
        )
        found = made.check(_check(params))
        self._fails = params.branch and found.result != "passed"
        return {"result": found.result, "reason": found.reason, "score": found.score, "evidence": found.evidence}

    def action(self, results: Mapping[str, Any]) -> str:
        """``failed``, where it branches and is not passed."""
        return FAILED if self._fails else DEFAULT


_CHECKS: Final = ("command", "junit", "coverage", "function", "value", "model")


def _check(params: GateNode.Params) -> Callable[[], Finding]:
    base = running.base()
    if params.command is not None:
        return checks.command(params.command, cwd=base, timeout_s=within(params.timeout_s))
    if params.junit is not None:
        return checks.junit(base / params.junit)
    if params.coverage is not None:
        assert params.at_least is not None
        return checks.coverage(base / params.coverage, at_least=params.at_least)
    if params.function is not None:
        called = find(params.function, base)
        return lambda: finding(called(**params.args), params.at_least)
    if params.model is not None:
        return lambda: _judged(params)
    return lambda: finding(params.value, params.at_least)


def _judged(params: GateNode.Params) -> Finding:
    """What a model says of it."""
    asked = {"model": params.model, "prompt": params.prompt, "base_url": params.base_url, "output_schema": _VERDICT}
    answer = llm.LlmNode().execute(llm.LlmNode.Params.model_validate(asked))["response"]
    passed, score = answer["passed"], answer.get("score")
    if score is not None and params.at_least is not None:
        passed = passed and score >= params.at_least
    return Finding("passed" if passed else "failed", answer["reason"], score, params.at_least, {"model": params.model}, "model")
