"""A workflow as the page that an editor's assistant follows."""

from __future__ import annotations

import json
from collections.abc import Iterator

from clew.connect.editors.declared import Stage, Workflow
from clew.connect.editors.formats import Editor


def page(workflow: Workflow, editor: Editor) -> str:
    """The text of the file, without the line that says whether it was edited."""
    return "\n".join([*_front(workflow, editor), *_body(workflow, editor)]) + "\n"


def _front(workflow: Workflow, editor: Editor) -> Iterator[str]:
    if editor.front is None:
        return
    values = {"description": workflow.about, **editor.front}
    yield "---"
    yield from (f"{key}: {json.dumps(value.replace('{asks}', workflow.asks), ensure_ascii=False)}" for key, value in values.items())
    yield "---"
    yield ""


def _body(workflow: Workflow, editor: Editor) -> Iterator[str]:
    title = workflow.name.replace("-", " ").capitalize()
    yield f"# {title}"
    yield ""
    yield workflow.about
    yield ""
    yield f"The task ({workflow.asks}): {editor.asked.replace('{asks}', workflow.asks)}"
    yield ""
    yield "Carry out the stages below in their order, each as the persona that it names. Type the commands in a terminal as they stand here: they keep the"
    yield "record of this run. Report what is so: a gate that does not hold is failed, not left out. When a command refuses, its message names the next step."
    yield ""
    yield "| stage | persona | gates |"
    yield "|---|---|---|"
    for stage in workflow.stages:
        yield f"| {stage.name} | {stage.persona} | {', '.join(stage.gates)} |"
    yield ""
    yield "## Begin"
    yield ""
    yield from _commands(f"clew workflows start {workflow.name}")
    for number, stage in enumerate(workflow.stages, 1):
        yield from _stage(number, stage, workflow)
    yield "## End"
    yield ""
    yield "End the run, and tell the user what was done, which gates failed on the way and why, and what is left to do."
    yield ""
    yield from _commands("clew persona status", "clew workflows end")
    yield 'If you must give up before that: `clew workflows end --failed "WHY"`. The user can look at the run with `clew show last`.'


def _stage(number: int, stage: Stage, workflow: Workflow) -> Iterator[str]:
    yield f"## {number}. {stage.name}, as {stage.persona}"
    yield ""
    yield stage.goal
    yield ""
    yield from _commands(f"clew persona switch {stage.persona} --chatmode {workflow.name}", f"clew stage start {stage.name}")
    yield from (f"- {step}" for step in stage.steps)
    yield ""
    yield "Gates:"
    yield ""
    for gate, holds in stage.gates.items():
        yield f"- **{gate}**{' (advisory)' if gate in stage.advisory else ''}: {holds}"
    yield ""
    yield "Where a command decides, let it: `clew gate check GATE -- COMMAND` runs it and takes the verdict from its exit code. Else judge by what you saw:"
    yield ""
    yield from _commands(*(f"clew gate pass {gate}{' --advisory' if gate in stage.advisory else ''}" for gate in stage.gates))
    yield 'A gate that does not hold: `clew gate fail GATE --reason "WHAT IS WRONG"`. Mend it, then judge it again; do not go on past a gate that is not advisory.'
    yield "If you know how many tokens this stage took, report them, such as `clew persona tokens 1200 --model MODEL`. Then:"
    yield ""
    yield from _commands(f"clew stage end {stage.name}")


def _commands(*lines: str) -> Iterator[str]:
    yield "```sh"
    yield from lines
    yield "```"
    yield ""
