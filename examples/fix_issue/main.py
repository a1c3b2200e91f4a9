"""A planner, a coder and a reviewer mend a bug in a real git repository, and Clew records how.

``python examples/fix_issue/main.py`` needs no network: the model's part is played by model_server.py over HTTP. ``--model NAME`` takes
a real one instead; the openai client finds it by OPENAI_API_KEY and, for another provider, OPENAI_BASE_URL.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import model_server
from agent import Agent
from openai import OpenAI
from repository import ISSUE, Repository

import clew

MODELS = {"planner": "gpt-4.1", "coder": "gpt-4.1-mini", "reviewer": "o4-mini"}
MOST_ROUNDS = 2

PLANNER = """Find the code that an issue is about, weigh at least two ways to mend it, and choose one.
Answer with JSON only: {"options": [{"name": str, "score": 0 to 1, "reason": str}], "choice": name of one option, "reason": str,
"confidence": 0 to 1, "task": what the coder is to do}."""
CODER = """Do the task: read the file, write it anew, whole, run the tests, and go on until they pass.
Then answer with the commit message only: a first line of at most 60 characters, an empty line, and why."""
REVIEWER = """Judge a change by its diff and by the tests' output.
Answer with JSON only: {"verdict": "approve" or "revise", "score": 0 to 1, "comment": str}."""


def main() -> None:
    options = arguments()
    clew.init(service="fix_issue", data_dir=options.data_dir)
    with ExitStack() as stack:
        if options.model:
            client, models = OpenAI(), dict.fromkeys(MODELS, options.model)
        else:
            server = stack.enter_context(model_server.server())
            client, models = OpenAI(base_url=server.url, api_key="no key is needed here", max_retries=0), MODELS
        stack.enter_context(client)
        place = stack.enter_context(tempfile.TemporaryDirectory(prefix="fix_issue-"))
        fix_issue(Path(place), client, models)
    clew.flush()
    stats = clew.stats()
    print(
        f"{stats.written} spans recorded"
        if stats.written == stats.emitted
        else f"{stats.written} of {stats.emitted} spans recorded: {stats}"
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", help="a real model for all three, such as gpt-4.1-mini; default: the local stand-in")
    parser.add_argument("--data-dir", help="where Clew keeps the record; default: CLEW_DATA_DIR, else ~/.clew")
    return parser.parse_args()


def fix_issue(place: Path, client: OpenAI, models: dict[str, str]) -> None:
    """Issue in, merged commit out."""
    with clew.workflow("fix issue", session="till issues", user="ada") as run:
        run.input(ISSUE)
        print(f"issue: {ISSUE}")
        repository = Repository(place)
        planner = Agent("planner", models["planner"], PLANNER, client, (repository.search_code, repository.read_file))
        tools = (repository.read_file, repository.write_file, repository.run_tests)
        coder = Agent("coder", models["coder"], CODER, client, tools, stream=True)
        reviewer = Agent("reviewer", models["reviewer"], REVIEWER, client)

        with clew.node("plan"):
            task = plan(planner)
        repository.git("checkout", "--quiet", "-b", "fix/split", branch="fix/split")
        sender = "planner"
        for _ in range(MOST_ROUNDS):
            with clew.node("implement"):
                hand_over(sender, "coder", task)
                repository.commit(implement(coder, task))
            with clew.node("review"):
                objection = review(reviewer, repository)
            if objection is None:
                break
            task, sender = objection, "reviewer"
        else:
            raise SystemExit(f"not merged: {objection}")
        with clew.node("merge"):
            repository.git("checkout", "--quiet", "main", branch="main")
            repository.git("merge", "--no-ff", "--quiet", "--message", "Merge fix/split", "fix/split", branch="main")
        run.output(repository.head())
        print(f"merged as {repository.head()[:10]}")


def plan(planner: Agent) -> str:
    """The coder's task, from a decision between the ways that the planner sees."""
    found = parsed(planner.run(ISSUE))
    with clew.decision("how to mend it", options=found["options"]) as decision:
        decision.choose(found["choice"], reason=found["reason"], confidence=found["confidence"], by=planner.name)
    print(f"planner: {found['choice']}")
    return str(found["task"])


def implement(coder: Agent, task: str) -> str:
    """The commit message for the change that the coder made."""
    message = coder.run(task)
    print(f"coder: {message.splitlines()[0]}")
    return message


def review(reviewer: Agent, repository: Repository) -> str | None:
    """What is to be done better, or None when the change may be merged."""
    diff = repository.git("diff", "main...HEAD")
    with clew.execution("unittest") as execution:
        tests = repository.run_tests()
        execution.output(tests)
    hand_over("coder", "reviewer", diff)
    found = parsed(reviewer.run(f"Issue: {ISSUE}\n\nDiff:\n{diff}\nTests:\n{tests}"))
    with clew.gate("merge allowed") as gate:
        gate.output(found)
    print(f"reviewer: {found['verdict']}: {found['comment']}")
    return None if found["verdict"] == "approve" else str(found["comment"])


def hand_over(sender: str, receiver: str, content: str) -> None:
    with clew.message(f"{sender} to {receiver}") as message:
        message.input(content)


def parsed(answer: str) -> dict[str, Any]:
    """A model's JSON, with or without the fence that models like to put around it."""
    found = json.loads(answer.strip().removeprefix("```json").removeprefix("```").removesuffix("```"))
    if not isinstance(found, dict):
        raise ValueError(f"expected a JSON object, not {answer!r}")
    return found


if __name__ == "__main__":
    main()
