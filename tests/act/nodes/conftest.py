"""Runs one node as a workflow does: a fresh copy, its parameters resolved, inside a run whose files are in ``base``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from clew.act.workflow import running
from clew.act.workflow.registry import node_types
from clew.act.workflow.running import Running


@dataclass
class Ran:
    """What a node did."""

    action: str | None
    results: dict[str, Any] = field(default_factory=dict)
    error: Exception | None = None

    @property
    def message(self) -> str:
        return str(self.error)


Run = Callable[..., Ran]


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Path]:
    """The document's directory."""
    token = running.run.set(Running(base=tmp_path))
    yield tmp_path
    running.run.reset(token)


@pytest.fixture
def run(base: Path) -> Run:
    types = node_types()

    def ran(type_: str, **params: Any) -> Ran:
        node = types[type_]()
        node.set_params(params)
        results: dict[str, Any] = {}
        try:
            return Ran(node._run(results), results)
        except Exception as error:
            return Ran(None, results, error)

    return ran
