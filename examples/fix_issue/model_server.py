"""A model at home: plays three parts from a script, over HTTP, in a provider's format; see ``clew.testing.ModelServer``.

It stands in where no model is at hand. Which line it speaks depends on the part (the first line of the system message) and on how often
the part has spoken in the conversation so far. Its usage has cached and reasoning tokens, as a provider's has.

Run alone, it serves until interrupted: ``python model_server.py 8080``.
"""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import replace
from typing import Any

from clew import Usage
from clew.testing import Answer, ModelServer, Refusal
from clew.testing.model_server import tokens

FIRST_TOKEN_S = 0.12
PIECE_S = 0.006
CACHE_BLOCK = 64
"""Prompt tokens are cached in blocks of this many, from the start of the prompt (a provider's block is 128, its prompts are longer)."""

DATED = {"gpt-4.1": "gpt-4.1-2025-04-14", "gpt-4.1-mini": "gpt-4.1-mini-2025-04-14", "o4-mini": "o4-mini-2025-04-16"}
"""The name a model answers under."""

OFF_BY_ONE = '''"""Splitting a bill."""


def split(total: int, people: int) -> list[int]:
    """Shares of ``total`` cents for ``people``; they add up to the total and differ by one cent at most."""
    share, rest = divmod(total, people)
    return [share + 1 if guest <= rest else share for guest in range(people)]
'''
FIXED = OFF_BY_ONE.replace("<= rest", "< rest")

PLAN = {
    "options": [
        {"name": "give the rest to the last guest", "score": 0.35, "reason": "adds up, but one guest may pay several cents more"},
        {"name": "spread the rest over the first guests", "score": 0.9, "reason": "adds up, and shares differ by one cent at most"},
        {"name": "round with Decimal", "score": 0.2, "reason": "each share is rounded alone, so the sum can still be off"},
    ],
    "choice": "spread the rest over the first guests",
    "reason": "The test suite asks for shares that differ by one cent at most, which only this option gives.",
    "confidence": 0.86,
    "task": "In till/split.py, use divmod and give one extra cent to as many of the first guests as there are cents left. Run the tests.",
}


def _call(name: str, **arguments: str) -> Answer:
    return Answer(calls=((name, arguments),))


SCRIPT: dict[str, list[Answer]] = {
    "planner": [
        _call("search_code", text="def split"),
        Answer(json.dumps(PLAN, indent=1)),
    ],
    "coder": [
        _call("read_file", path="till/split.py"),
        _call("write_file", path="till/split.py", content=OFF_BY_ONE),
        _call("run_tests"),
        _call("write_file", path="till/split.py", content=FIXED),
        _call("run_tests"),
        Answer("Spread the rest of a bill over the first guests\n\nInteger division dropped the rest, so a bill could lose cents."),
    ],
    "reviewer": [
        Answer(json.dumps({"verdict": "approve", "score": 0.93, "comment": "The shares add up again, and the tests hold it."})),
    ],
}
REASONING = {"reviewer": 192}
"""Tokens that a part thinks for, before it speaks."""


class Model:
    """Answers requests; remembers the prompts of each part, to tell which tokens it has read before."""

    def __init__(self) -> None:
        self._prompts: dict[str, str] = {}
        self._lock = threading.Lock()

    def __call__(self, request: dict[str, Any]) -> Answer | Refusal:
        messages = request.get("messages") or []
        part = next((part for part in SCRIPT if messages and f"You are the {part} " in str(messages[0].get("content"))), None)
        if part is None:
            return Refusal(400, "this model knows only the parts " + ", ".join(SCRIPT))
        spoken = sum(message["role"] == "assistant" for message in messages)
        answer = SCRIPT[part][min(spoken, len(SCRIPT[part]) - 1)]
        prompt = json.dumps([request.get("tools"), messages])
        with self._lock:
            cached = _shared(self._prompts.get(part, ""), prompt)
            self._prompts[part] = prompt
        said = answer.text or "".join(name + json.dumps(arguments) for name, arguments in answer.calls)
        reasoning = REASONING.get(part, 0)
        usage = Usage(
            input_tokens=tokens(prompt),
            output_tokens=reasoning + tokens(said),
            cache_read_tokens=cached,
            reasoning_tokens=reasoning,
        )
        model = str(request["model"])
        found: Answer = replace(answer, usage=usage, model=DATED.get(model, model))
        return found


def _shared(before: str, now: str) -> int:
    """Tokens at the start of ``now`` that ``before`` began with too, in whole blocks."""
    same = next((index for index, (old, new) in enumerate(zip(before, now, strict=False)) if old != new), min(len(before), len(now)))
    return same // 4 // CACHE_BLOCK * CACHE_BLOCK


def server(port: int = 0) -> ModelServer:
    """The model, to be entered; ``url`` is the base URL for a client."""
    return ModelServer(Model(), port=port, first_token_s=FIRST_TOKEN_S, piece_s=PIECE_S)


if __name__ == "__main__":
    home = server(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    print(f"OPENAI_BASE_URL={home.url}", flush=True)
    home.serve_forever()
