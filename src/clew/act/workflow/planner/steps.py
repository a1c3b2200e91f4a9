"""The steps of planning, nodes of a small flow: find, choose, write, check, repair."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

import pocketflow

from clew.act.workflow import check
from clew.act.workflow import source as reader
from clew.act.workflow.completion import complete
from clew.act.workflow.document import DEFAULT, Document
from clew.act.workflow.inputs import inputs_for
from clew.act.workflow.models import names
from clew.act.workflow.nodes.node import NodeType
from clew.act.workflow.planner import prompts
from clew.act.workflow.planner.library import Library, library
from clew.act.workflow.source import Source
from clew.errors import DocumentError, MissingExtra, ModelError, PlanError
from clew.record.instruments.functions import decision

REPAIRS: Final = 3
"""How often an answer that cannot be used goes back to the model."""
MISFITS: Final = 2
"""How often, within one question, an answer that is not of the asked form does."""
NAME: Final = "the planned workflow"

PathTaken = Literal["A", "B"]
"""A: a known workflow is used again; B: a new one was written."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A workflow that can be run, and what it is run with."""

    path_taken: PathTaken
    document: Document
    source: Source
    """Where it stands: the file of a known one, the text of a new one."""
    given: dict[str, Any]
    """Its inputs: what the words gave and, before that, what the user gave by name."""
    reason: str
    """Why, in the model's words."""


@dataclass(frozen=True, slots=True)
class Draft:
    """The model's last answer, and the question it answers."""

    path_taken: PathTaken
    system: str
    schema: Mapping[str, Any]
    prompt: str
    answer: Mapping[str, Any]


@dataclass(slots=True)
class Planning:
    """One planning: what is asked for, and how far it has come."""

    words: str
    given: Mapping[str, Any]
    """Inputs that the user gave by name; a model does not see their values."""
    model: str
    directories: Sequence[Path]
    types: Mapping[str, type[NodeType]]
    deadline: float
    """By time.monotonic."""
    timeout_s: float
    found: Library = field(default_factory=Library)
    draft: Draft | None = None
    repairs: int = 0
    planned: Planned | None = None

    @property
    def question(self) -> str:
        """The words, and the names of the inputs that were given beside them."""
        return (
            f"{self.words}\n\nInputs given by name, so not to be taken from the words: {', '.join(self.given)}"
            if self.given
            else self.words
        )

    def ask(self, path_taken: PathTaken, system: str, schema: Mapping[str, Any], prompt: str) -> dict[str, Any]:
        """The model's answer to ``prompt``, which follows on the last draft where there is one.

        :raises PlanError: no time is left
        :raises ModelError: the model failed, or its answers are not of the form of ``schema``
        """
        try:
            from clew.act.workflow.nodes.asking import Asking
        except ImportError as error:
            raise MissingExtra("planning", error.name or "pydantic-ai-slim", "workflow") from error

        earlier: list[tuple[str, str]] = []
        if self.draft is not None:
            earlier = [("user", self.draft.prompt), ("assistant", _said(self.draft.answer))]
        asking = Asking(
            prompt=prompt,
            system=system,
            earlier=earlier,
            settings={},
            schema=dict(schema),
            repairs=MISFITS,
            tools=(),
            max_requests=MISFITS + 1,
            stream=False,
        )
        remaining = self.deadline - time.monotonic()
        if remaining <= 0:
            raise self.too_long()

        async def within() -> Any:
            async with asyncio.timeout(remaining + _GRACE_S):
                return await asking.answer(names.model(self.model, timeout_s=remaining))

        try:
            answer, _ = complete(within())
        except TimeoutError:
            raise self.too_long() from None
        except ModelError as error:
            if error.kind == "timeout":
                raise self.too_long() from error
            raise
        self.draft = Draft(path_taken, system, schema, earlier[0][1] if earlier else prompt, answer)
        return dict(answer)

    def too_long(self) -> PlanError:
        return PlanError(
            f"{self.model} had planned nothing after {self.timeout_s:g} s; give it longer with --planner-timeout, or another model with --planner-model"
        )


_GRACE_S: Final = 0.2
"""The model's own limit ends the first request with the right error; this one ends those after it."""


def _said(answer: Mapping[str, Any]) -> str:
    from clew.act.workflow.plain import encode

    return encode(dict(answer))


class Step(pocketflow.Node):  # type: ignore[misc]
    """One step. Its results are published under its id; the action it ends with names the next step."""

    id: ClassVar[str]

    def __init__(self, planning: Planning) -> None:
        super().__init__()
        self.planning = planning

    def exec(self, prep_res: Any) -> tuple[str, dict[str, Any]]:
        return self.execute()

    def post(self, shared: dict[str, Any], prep_res: Any, exec_res: tuple[str, dict[str, Any]]) -> str:
        action, results = exec_res
        shared.update(results)
        return action

    def execute(self) -> tuple[str, dict[str, Any]]:
        """The action, and the results by key."""
        raise NotImplementedError


class Find(Step):
    """Finds the known workflows."""

    id = "find"

    def execute(self) -> tuple[str, dict[str, Any]]:
        found = self.planning.found = library(self.planning.directories, self.planning.types)
        results = {"known": [str(known.source.path) for known in found.known], "faults": list(found.faults)}
        return (Choose.id if found.known else Write.id), results


class Choose(Step):
    """Has the model choose one of them, or none."""

    id = "choose"

    def execute(self) -> tuple[str, dict[str, Any]]:
        planning = self.planning
        system, schema = prompts.choosing(planning.found.known)
        answer = planning.ask("A", system, schema, planning.question)
        return _chosen(planning, answer)


def _chosen(planning: Planning, answer: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    number = answer["number"]
    options = [known.document.name for known in planning.found.known]
    with decision("which workflow", options=[*options, "a new one"]) as made:
        made.choose("a new one" if number == prompts.NEW else options[number - 1], reason=answer["reason"], by=planning.model)
    return (Write.id if number == prompts.NEW else Check.id), {"answer": dict(answer)}


class Write(Step):
    """Has the model write a new one."""

    id = "write"

    def execute(self) -> tuple[str, dict[str, Any]]:
        self.planning.draft = None
        system, schema = prompts.writing(self.planning.types)
        return Check.id, {"answer": self.planning.ask("B", system, schema, self.planning.question)}


class Check(Step):
    """Checks the document and its inputs. What is wrong goes back to the model, REPAIRS times at most."""

    id = "check"

    def execute(self) -> tuple[str, dict[str, Any]]:
        planning, draft = self.planning, self.planning.draft
        assert draft is not None
        problems: list[str] = []
        hopeless = False
        try:
            source, document = self._document(draft)
            given, secret = self._inputs(document, draft)
            hopeless = bool(secret)
            problems += secret
            if not problems:
                inputs_for(document, given)
        except DocumentError as error:
            problems += error.problems
        if not problems:
            planning.planned = Planned(draft.path_taken, document, source, given, draft.answer["reason"])
            return DEFAULT, {"problems": []}
        if hopeless or planning.repairs >= REPAIRS:
            raise self._given_up(draft, problems, hopeless)
        planning.repairs += 1
        return Repair.id, {"problems": problems}

    def _document(self, draft: Draft) -> tuple[Source, Document]:
        if draft.path_taken == "A":
            known = self.planning.found.known[draft.answer["number"] - 1]
            return known.source, known.document
        source = reader.parsed(unfenced(draft.answer["yaml"]), name=NAME)
        return source, check.checked(source, self.planning.types)

    def _inputs(self, document: Document, draft: Draft) -> tuple[dict[str, Any], list[str]]:
        """The inputs, those given by name before those from the words; and which secret ones nobody gave: no model can know them."""
        said = {each["name"]: each["value"] for each in draft.answer["inputs"]}
        secret = {name for name, declared in document.inputs.items() if declared.secret}
        given = {**{name: value for name, value in said.items() if name not in secret}, **self.planning.given}
        missing = [
            f"inputs.{name}: is secret, so it is not taken from words; give it with --input {name}=<value>"
            for name in sorted(secret - given.keys())
            if document.inputs[name].required and "default" not in document.inputs[name].model_fields_set
        ]
        return given, missing

    def _given_up(self, draft: Draft, problems: Sequence[str], hopeless: bool) -> PlanError:
        said = "\n".join(f"  {problem}" for problem in problems)
        if draft.path_taken == "A":
            name = self.planning.found.known[draft.answer["number"] - 1].document.name
            return PlanError(
                f"workflow {name} fits, but not what it would be run with; say it, or give it with --input NAME=VALUE:\n{said}"
            )
        tries = "" if hopeless else f" in {self.planning.repairs + 1} tries"
        return PlanError(
            f"{self.planning.model} wrote no workflow that can be run{tries}; say it in another way, or use another model:\n{said}"
        )


class Repair(Step):
    """Tells the model what is wrong, and has it answer again."""

    id = "repair"

    def prep(self, shared: Mapping[str, Any]) -> list[str]:
        problems: list[str] = shared[Check.id]["problems"]
        return problems

    def exec(self, prep_res: list[str]) -> tuple[str, dict[str, Any]]:
        planning, draft = self.planning, self.planning.draft
        assert draft is not None
        answer = planning.ask(draft.path_taken, draft.system, draft.schema, prompts.repairing(prep_res))
        if draft.path_taken == "A":
            return _chosen(planning, answer)
        return Check.id, {"answer": answer}


def unfenced(text: str) -> str:
    """The text without a Markdown fence around it."""
    match = re.fullmatch(r"\s*```\w*[ \t]*\n(.*?)\n?```\s*", text, re.DOTALL)
    return match[1] + "\n" if match else text


STEPS: Final = (Find, Choose, Write, Check, Repair)
EDGES: Final = (
    (Find, Choose),
    (Find, Write),
    (Choose, Write),
    (Choose, Check),
    (Write, Check),
    (Check, Repair),
    (Repair, Check),
    (Repair, Write),
)
"""Each with the id of the step it leads to as its action."""
