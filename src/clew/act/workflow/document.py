"""The workflow document: what a JSON or YAML file holds, as pydantic models; the JSON Schema for editors comes from here.

::

    name: greet
    inputs:
      who: {type: string, default: world}
    nodes:
      - {id: hello, type: shell, params: {command: "echo hello ${inputs.who}"}}
      - {id: keep, type: write_file, params: {path: hello.txt, content: "${hello.stdout}"}}
    edges:
      - {from: hello, to: keep}
    outputs:
      path: ${keep.path}
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

DEFAULT: Final = "default"
"""The action of an edge that names none, and what a node returns that has no choice to make."""
ERROR: Final = "error"
"""The action of the edge that a failed node takes, if there is one; without it the run fails."""
MOST_VISITS: Final = 1000
"""How often one node may run in one run unless the document says otherwise: the end of a loop that has none."""

Id = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$", max_length=100)]
"""A name that a template can hold: letters, digits, ``_`` and ``-``, not a digit first."""


class Part(BaseModel):
    """A part of the document: no unknown keys, never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, use_attribute_docstrings=True)


class Input(Part):
    """An input of the workflow."""

    type: Literal["string", "number", "integer", "boolean", "object", "array", "any"] = "any"
    description: str = ""
    required: bool = True
    """Ignored where there is a default."""
    default: Any = None
    """Stands in when nothing is given."""
    secret: bool = False
    """The value is masked wherever it would be written: record, traces, messages."""


class Output(Part):
    """An output of the workflow; in the document a text is short for ``{value: text}``."""

    value: Any
    description: str = ""


class Retry(Part):
    """How often a failed node is tried again."""

    attempts: Annotated[int, Field(ge=1, le=100)] = 3
    """Tries in all, the first included."""
    wait_s: Annotated[float, Field(ge=0, le=3600)] = 0.0
    """Before the second try."""
    backoff: Annotated[float, Field(ge=1, le=10)] = 2.0
    """What the wait is multiplied by before each further try."""


class Batch(Part):
    """Runs the node once for each item of a list; its result is ``results`` (in the order of the items) and ``count``, ``failed``."""

    items: Any
    """A list, or a template of one."""
    name: Id = Field(default="item", alias="as")
    """What templates call the item: ``${item}``, ``${item.path}``; its place in the list is ``${index}``."""
    parallel: Annotated[int, Field(ge=1, le=256)] = 1
    """How many run at once, each in a thread of its own."""
    on_error: Literal["fail", "continue"] = "fail"
    """``continue`` puts ``{"error": message}`` in the place of an item that failed."""


class Node(Part):
    """One step. ``params`` depend on the type; any value in them may hold templates."""

    id: Id
    type: str
    description: str = ""
    params: dict[str, Any] = Field(default_factory=dict)
    retry: Retry | None = None
    timeout_s: Annotated[float, Field(gt=0)] | None = None
    """Longest time of one try."""
    fallback: dict[str, Any] | None = None
    """Results that stand in when every try has failed; the run goes on with them."""
    batch: Batch | None = None


class Edge(Part):
    """Where the run goes on when ``from`` ends with ``action``."""

    source: str = Field(alias="from")
    target: str = Field(alias="to")
    action: str = DEFAULT


class Document(Part):
    """A workflow."""

    json_schema: str = Field(default="", alias="$schema")
    """Address of this schema, for editors; nothing else reads it."""
    name: Annotated[str, Field(min_length=1, max_length=200)]
    description: str = ""
    version: str = ""
    inputs: dict[Id, Input] = Field(default_factory=dict)
    nodes: Annotated[list[Node], Field(min_length=1)]
    edges: list[Edge] = Field(default_factory=list)
    start: str | None = None
    """The first node; without it the first in the list."""
    outputs: dict[Id, Output | str] = Field(default_factory=dict)
    max_visits: Annotated[int, Field(ge=1)] = MOST_VISITS
    """How often one node may run in one run."""
