"""What release.yaml does in Python."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import clew

HERE = Path(__file__).parent


class NotReleased(Exception):
    """Why there is no release."""


def ready(changed: list[dict[str, str]], last_tag: str, commits: list[dict[str, str]]) -> dict[str, list[str]]:
    """A gate: the tree is clean, and there is something new. Gives the versions that may follow the last tag."""
    with clew.gate("may be released") as gate:
        objections = [f"{file['path']} is not committed" for file in changed]
        if not commits:
            objections.append(f"nothing was committed since {last_tag}")
        gate.output({"passed": not objections, "objections": objections})
        if objections:
            raise NotReleased("; ".join(objections))
    major, minor, patch = (int(number) for number in last_tag.removeprefix("v").split("."))
    return {"versions": [f"{major}.{minor}.{patch + 1}", f"{major}.{minor + 1}.0", f"{major + 1}.0.0"]}


def check(path: str) -> dict[str, int]:
    """A source file's public functions are documented and typed."""
    source = (HERE / path).read_text("utf-8")
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]
    for function in functions:
        if function.returns is None:
            raise NotReleased(f"{path}:{function.lineno}: {function.name} does not say what it returns")
        if not ast.get_docstring(function) and not function.name.startswith("test"):
            raise NotReleased(f"{path}:{function.lineno}: {function.name} has no docstring")
    return {"functions": len(functions)}


def decide(proposal: dict[str, Any], by: str) -> dict[str, str]:
    """The version, with what else was considered and why this one was taken on record."""
    with clew.decision("which version", options=proposal["options"]) as decision:
        decision.choose(proposal["version"], reason=proposal["reason"], confidence=proposal["confidence"], by=by)
    return {"version": proposal["version"], "reason": proposal["reason"]}


def changelog(path: str, version: str, news: str) -> dict[str, str]:
    """The changelog with a section for the version, above the older ones."""
    text = (HERE / path).read_text("utf-8")
    return {"text": re.sub(r"\A# Changelog\n", lambda title: f"{title[0]}\n## {version}\n\n{news.strip()}\n", text)}


def stop(commit: str, why: str) -> None:
    """Ends the run: the tests failed."""
    raise NotReleased(f"the tests fail, likely since {commit!r}: {why}")
