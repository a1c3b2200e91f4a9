"""The declared workflows: their stages, personas and gates, from one file for all editors."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Final

from clew.errors import ReportError

SOURCE: Final = Path(__file__).with_name("workflows.toml")


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage.

    :ivar gates: name -> what must hold
    :ivar advisory: gates that stop nothing
    """

    name: str
    persona: str
    goal: str
    steps: tuple[str, ...]
    gates: Mapping[str, str]
    advisory: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Workflow:
    name: str
    about: str
    asks: str
    stages: tuple[Stage, ...] = field(default=())

    @property
    def personas(self) -> tuple[str, ...]:
        """In the order in which they act."""
        return tuple(dict.fromkeys(stage.persona for stage in self.stages))


@cache
def workflows() -> Mapping[str, Workflow]:
    """Every declared workflow by name."""
    document = tomllib.loads(SOURCE.read_text("utf-8"))
    return {
        name: Workflow(
            name,
            table["about"],
            table["asks"],
            tuple(
                Stage(**{**stage, "steps": tuple(stage["steps"]), "advisory": tuple(stage.get("advisory", ()))}) for stage in table["stage"]
            ),
        )
        for name, table in document.items()
    }


def workflow(name: str) -> Workflow:
    """One workflow.

    :raises ReportError: there is none of that name; says which there are
    """
    known = workflows()
    if name not in known:
        near = get_close_matches(name, known, n=1)
        raise ReportError(f"there is no workflow {name!r}; {f'did you mean {near[0]}?' if near else 'there are ' + ', '.join(known)}")
    return known[name]
