"""The node type ``shell``: runs a command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field

from clew.act.workflow import running
from clew.act.workflow.document import DEFAULT
from clew.act.workflow.nodes import node, process
from clew.act.workflow.nodes.limit import within
from clew.errors import WorkflowError
from clew.record.instruments.functions import execution

_TAIL: Final = 600
"""Characters of an output's end that a message quotes."""


class ShellNode(node.NodeType):
    """Runs a command and publishes what it printed. An exit code other than 0 fails the node, with its results published all the same."""

    type = "shell"
    kind = "execution"
    outputs: ClassVar[Mapping[str, str]] = {
        "stdout": "What the command printed, as text",
        "stderr": "What it printed as errors",
        "exit_code": "Its exit code; negative: the signal that ended it",
    }

    class Params(node.Params):
        command: str | Annotated[list[str], Field(min_length=1)]
        """A text is run by ``/bin/sh -c``; a list is a program and its arguments, without a shell, so that nothing in them needs quoting."""
        cwd: str = "."
        """Directory; relative to the document's own."""
        env: dict[str, str | int | float | bool] = Field(default_factory=dict)
        """Variables beside the inherited ones: the safe way to hand values to a shell command."""
        stdin: str | None = None
        """What the command reads; without it nothing."""
        ok_exit_codes: list[int] = Field(default_factory=lambda: [0])
        """Exit codes that do not fail the node."""
        check: bool = True
        """``false``: no exit code fails the node."""
        actions: dict[int, str] = Field(default_factory=dict)
        """Exit code → action of the edge to take; these codes do not fail the node."""
        timeout_s: Annotated[float, Field(gt=0)] | None = None
        """Longest time; then the command and all processes it started are ended, and the node fails."""
        max_output_bytes: Annotated[int, Field(ge=2)] = process.MOST_OUTPUT
        """Most bytes kept of each output; of a longer one the middle is left out, and the text says how much."""

    def execute(self, params: Params) -> dict[str, Any]:
        with execution("shell") as span:
            span.input({"command": params.command, "cwd": params.cwd, **({"stdin": params.stdin} if params.stdin is not None else {})})
            try:
                done = process.run(
                    params.command,
                    cwd=running.base() / params.cwd,
                    env={name: _variable(value) for name, value in params.env.items()},
                    stdin=params.stdin,
                    timeout_s=within(params.timeout_s),
                    most_output=params.max_output_bytes,
                )
            except (OSError, ValueError) as error:
                if isinstance(error, TimeoutError):
                    raise
                raise CommandFailed(f"{process.shown(params.command)} cannot be run in {running.base() / params.cwd}: {error}") from error
            results = {"stdout": done.stdout, "stderr": done.stderr, "exit_code": done.exit_code}
            span.output(results)
            if self._fails(params, done.exit_code):
                span.fail(_reason(params, done))
            return results

    def post(self, shared: dict[str, Any], prep_res: Params, exec_res: dict[str, Any]) -> str:
        super().post(shared, prep_res, exec_res)
        code = exec_res["exit_code"]
        if self._fails(prep_res, code):
            raise CommandFailed(_reason(prep_res, process.Finished(cut_bytes=0, **exec_res)))
        return prep_res.actions.get(code, DEFAULT)

    @staticmethod
    def _fails(params: Params, exit_code: int) -> bool:
        return params.check and exit_code not in params.ok_exit_codes and exit_code not in params.actions


class CommandFailed(WorkflowError):
    """A command that could not be run, or ended with an exit code that fails its node."""


def _reason(params: ShellNode.Params, done: process.Finished) -> str:
    """What the command said last, errors before output."""
    how = f"ended with exit code {done.exit_code}" if done.exit_code >= 0 else f"was ended by signal {-done.exit_code}"
    said = (done.stderr.strip() or done.stdout.strip())[-_TAIL:]
    return f"{process.shown(params.command)} {how}{f': {said}' if said else ''}"


def _variable(value: str | float | bool) -> str:
    return value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
