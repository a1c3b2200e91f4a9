"""Runs a command with a model at home: ``python stand_in.py clew run release.yaml``.

The model is ``clew.testing.ModelServer``: real HTTP in OpenAI's format, answers from a script. The command finds it by OPENAI_BASE_URL.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from clew.testing import Answer, ModelServer, Refusal

FIRST_TOKEN_S = 0.1
PIECE_S = 0.006
DATED = {"gpt-4.1": "gpt-4.1-2025-04-14", "gpt-4.1-mini": "gpt-4.1-mini-2025-04-14"}
"""The name a model answers under."""

VERSION = {
    "options": [
        {"name": "0.1.1", "score": 0.2, "reason": "There is a fix, but it is not all there is."},
        {"name": "0.2.0", "score": 0.9, "reason": "Days and `most` are new, and what worked before works as before."},
        {"name": "1.0.0", "score": 0.1, "reason": "Nothing that worked before was taken away."},
    ],
    "version": "0.2.0",
    "reason": "Days and `most` are new, and what worked before works as before.",
    "confidence": 0.92,
}
NEWS = """- Days can be read and written: `2d 1h`.
- `write(seconds, most=2)` leaves out the small units.
- An unknown unit is named in a `ValueError`; it was a `KeyError`. Capitals are read like small letters.
"""
BLAME = {
    "commit": "Write durations to the nearest ten seconds",
    "why": "write() rounds before it splits, so write(1) is 0s, and what is written no longer reads the same.",
}

SCRIPT = {
    "You choose the next version": json.dumps(VERSION),
    "You write the changelog": NEWS,
    "You find the commit": json.dumps(BLAME),
}
"""How the system message begins -> what the model says."""


def answer(request: dict[str, Any]) -> Answer | Refusal:
    system = str(request["messages"][0].get("content"))
    said = next((text for beginning, text in SCRIPT.items() if system.startswith(beginning)), None)
    if said is None:
        return Refusal(400, f"this model knows no answer to {system!r}")
    return Answer(said, model=DATED.get(request["model"]))


def main() -> int:
    if len(sys.argv) < 2:
        raise SystemExit((__doc__ or "").splitlines()[0])
    with ModelServer(answer, first_token_s=FIRST_TOKEN_S, piece_s=PIECE_S) as server:
        return subprocess.call(sys.argv[1:], env=os.environ | {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "none is needed here"})


if __name__ == "__main__":
    sys.exit(main())
