"""Every mistake of a document is told at once, with its place, its line, the value, and the nearest valid name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, field_validator, model_validator

from clew.act.workflow.check import checked, problems
from clew.act.workflow.compile import compile_workflow
from clew.act.workflow.document import Document
from clew.act.workflow.draft import RESERVED
from clew.act.workflow.inputs import inputs_for
from clew.act.workflow.metrics import run_figures
from clew.act.workflow.nodes import node
from clew.act.workflow.reads import RUN_KEYS
from clew.act.workflow.source import of, parsed, read
from clew.errors import DocumentError


class Shell(node.NodeType):
    type = "shell"
    outputs: ClassVar[Mapping[str, str]] = {"stdout": "", "exit_code": ""}

    class Params(node.Params):
        command: str | list[str]
        env: dict[str, str | int] = Field(default_factory=dict)
        codes: list[int] = Field(default_factory=list)
        limit: int = Field(default=1, ge=1)
        mode: Literal["fast", "slow"] = "fast"


class Choose(node.NodeType):
    """Publishes what it likes, and chooses its action."""

    type = "choose"

    class Params(node.Params):
        where: Where | None = None
        name: str = ""

        @field_validator("name")
        @classmethod
        def _short(cls, value: str) -> str:
            if len(value) > 5:
                raise ValueError("a name has at most 5 letters")
            return value

    def action(self, results: Mapping[str, Any]) -> str:
        return str(results["action"])


class Where(BaseModel):
    host: str
    port: int = 80


Choose.Params.model_rebuild()


class Workflow(node.NodeType):
    type = "workflow"
    verbatim = frozenset({"document"})

    class Params(node.Params):
        path: str | None = None
        document: dict[str, Any] | None = None
        inputs: dict[str, Any] = Field(default_factory=dict)

        @model_validator(mode="after")
        def _one(self) -> Workflow.Params:
            if (self.path is None) == (self.document is None):
                raise ValueError("give path or document")
            return self


class Rough(node.NodeType):
    """A type whose author made a mistake."""

    type = "rough"

    class Params(node.Params):
        size: Any = None

        @field_validator("size")
        @classmethod
        def _size(cls, value: Any) -> Any:
            return len(value)


TYPES: dict[str, type[node.NodeType]] = {"shell": Shell, "choose": Choose, "workflow": Workflow, "rough": Rough}


def told(text: str, path: Path | None = None) -> list[str]:
    return [str(problem) for problem in problems(parsed(text, name="x.yaml", path=path), TYPES)]


def nodes(*rows: str, edges: str = "", more: str = "") -> list[str]:
    """What is told of nodes, each from the second line on, in a document that is otherwise sound."""
    body = "\n".join(f"- {{{row}}}" for row in rows)
    return told(f"nodes:\n{body}\nname: x\n{'edges: [' + edges + ']' if edges else ''}\n{more}\n")


def params(text: str) -> list[str]:
    """What is told of the parameters of one shell node."""
    return [
        problem.removeprefix("nodes[0].params").replace(" (line 2)", "") for problem in nodes(f"id: a, type: shell, params: {{{text}}}")
    ]


GOOD = """
name: release
description: d
version: "1"
inputs:
  who: {type: string, default: world, description: d, secret: true}
  many: {type: array, required: false}
start: first
nodes:
  - id: second
    type: shell
    params: {command: "echo ${first.stdout} ${inputs.who} ${run.cost_usd} ${run.tokens} $${HOME}", limit: "${inputs.many.0}", codes: ["${first.exit_code}", 2]}
    retry: {attempts: 2, wait_s: 0.5, backoff: 1}
    timeout_s: 5
    fallback: {stdout: "${inputs.who}", other: 1}
  - {id: first, type: shell, params: {command: [ls, "${inputs.who}"]}}
  - {id: each, type: shell, params: {command: "${file} ${index} ${file.name}"}, batch: {items: "${inputs.many}", as: file, parallel: 4, on_error: continue}}
  - {id: broken, type: choose, params: {name: "${second.error_type}", where: "${second.error}"}}
edges:
  - {from: first, to: second}
  - {from: second, to: each}
  - {from: second, to: broken, action: error}
  - {from: broken, to: first, action: again}
outputs:
  a: ${each.results[0].stdout}
  b: {value: {x: ["${second.other}"]}, description: d}
max_visits: 5
"""


def test_a_sound_document_is_given_as_a_document() -> None:
    assert told(GOOD) == []
    found = checked(parsed(GOOD), TYPES)
    assert isinstance(found, Document)
    assert [(edge.source, edge.target, edge.action) for edge in found.edges][2] == ("second", "broken", "error")


MANY = """\
name: greet
inptus: {}
inputs:
  who: {type: strng, default: world}
  n: {type: integer, default: x}
  "a b": {}
nodes:
  - {id: hello, type: shell, params: {comand: "echo hello ${inputs.whom}", codes: [a, "${inputs.n}"]}}
  - {id: keep, type: shel, params: {command: "${hello.stdot} ${helo.stdout} ${late.stdout} ${A:-b}"}}
  - id: late
    type: shell
    id: later
    params: {command: "${inputs.n.x} ${run.cost} ${item}"}
    retry: {attempts: 0}
    timeout_s: soon
  - {id: run, type: shell, params: {command: 5}}
  - {id: loop1, type: shell, params: {command: x}}
  - {id: loop2, type: shell, params: {command: x, command: y}}
  - {id: hello, type: shell, params: {command: x}, batch: {items: "${inputs.n}", as: keep, parallel: 1.5}}
  - 7
edges:
  - {from: hello, to: kep}
  - {from: hello, to: later}
  - {from: keep, to: loop1, action: done}
  - {from: later, to: loop1, action: errr}
  - {from: loop1, to: loop2}
  - {from: loop2, to: loop1}
start: helo
outputs:
  a: ${keep.path}
  b: {val: "${hello.stdout}"}
  c: 5
"""


def test_every_mistake_is_told_at_once() -> None:
    assert told(MANY) == [
        "inptus (line 2): unknown key inptus; did you mean inputs?",
        'inputs.who.type (line 4): "strng" is not usable; expected string, number, integer, boolean, object, array or any',
        'inputs.n.default (line 5): "x" is not usable; expected a whole number, the type of the input',
        'inputs["a b"] (line 6): "a b" is not usable; expected a name of letters, digits, _ and - that does not begin with a digit or -',
        "nodes[0].params.comand (line 8): unknown key comand; did you mean command?",
        'nodes[0].params.codes[0] (line 8): "a" is not usable; expected a whole number',
        "nodes[0].params.comand (line 8): ${inputs.whom}: the document's inputs have no whom; did you mean who?",
        'nodes[1].type (line 9): there is no node type "shel"; did you mean shell?',
        "nodes[1].params.command (line 9): ${hello.stdot}: hello has no stdot; did you mean stdout?",
        "nodes[1].params.command (line 9): ${helo.stdout}: there is no node helo; did you mean hello?",
        "nodes[1].params.command (line 9): ${late.stdout}: there is no node late; did you mean later?",
        "nodes[1].params.command (line 9): ${A:-b} is not a template; write ${node.key} or ${inputs.name}, or $${ for a literal ${",
        "nodes[2].id (line 12): id stands here again, after line 10; keep one of them",
        "nodes[2].params.command (line 13): ${inputs.n.x}: the input n is of type integer, so there is no x in it",
        "nodes[2].params.command (line 13): ${run.cost}: run has no cost; did you mean cost_usd?",
        "nodes[2].params.command (line 13): ${item}: item is there only in the parameters of a batch node",
        "nodes[2].retry.attempts (line 14): 0 is not usable; expected at least 1",
        'nodes[2].timeout_s (line 15): "soon" is not usable; expected a number',
        "nodes[3].params.command (line 16): 5 is not usable; expected a text or a list",
        "nodes[3].id (line 16): run is reserved: templates mean something else by ${run}; choose another id",
        "nodes[3] (line 16): no way leads from the start (hello) to run; add an edge to it, or remove it",
        "nodes[4] (line 17): no way leads out of the loop loop1 → loop2 → loop1; add an edge from one of its nodes to a node outside, or remove one",
        "nodes[5].params.command (line 18): command stands here again, after line 18; keep one of them",
        "nodes[6].batch.parallel (line 19): 1.5 is not usable; expected a whole number",
        'nodes[6].id (line 19): "hello" is the id of nodes[0] already; choose another',
        "nodes[7] (line 20): 7 is not usable; expected a mapping",
        'edges[0].to (line 22): there is no node "kep"; did you mean keep?',
        "edges[1] (line 23): edges[0] leads from hello with action default already, to kep; give one of them another action, or remove it",
        'edges[3].action (line 25): a node of type shell never ends with "errr"; did you mean error?',
        'start (line 28): there is no node "helo"; did you mean hello?',
        "outputs.b.val (line 31): unknown key val; did you mean value?",
        "outputs.c (line 32): 5 is not usable; expected a mapping or a text",
    ]
    with pytest.raises(DocumentError, match=r"x\.yaml has 32 mistakes:") as caught:
        checked(parsed(MANY, name="x.yaml"), TYPES)
    assert list(caught.value.problems) == told(MANY)


def test_the_nearest_name_is_also_a_field() -> None:
    found = problems(parsed(MANY), TYPES)
    assert [problem.nearest for problem in found if problem.nearest] == [
        *("inputs", "command", "who", "shell", "stdout", "hello", "later", "cost_usd", "keep", "error", "hello", "value")
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("command: ls", []),
        ("command: [ls, -l]", []),
        ('command: "${inputs}"', []),
        ('command: ["${inputs}", x]', []),
        ('command: ls, limit: "${inputs}"', []),
        ('command: ls, limit: "x ${inputs}"', []),
        ('command: ls, codes: [1, "${inputs}"]', []),
        ('command: ls, codes: "${inputs}"', []),
        ('command: ls, mode: "${inputs}"', []),
        ('command: ls, env: {A: "${inputs}"}', []),
        ('command: ls, codes: [x, "${inputs}"]', ['.codes[0]: "x" is not usable; expected a whole number']),
        ('command: ls, limit: "$${inputs}"', ['.limit: "$${inputs}" is not usable; expected a whole number']),
        ('comands: "${inputs}"', [".comands: unknown key comands; did you mean command?"]),
        ("", [".command: command is missing; add it"]),
        ("command: ls, x: 1", [".x: unknown key x; known are codes, command, env, limit, mode"]),
        ("command: ls, limit: 0", [".limit: 0 is not usable; expected at least 1"]),
        ("command: ls, limit: 1.5", [".limit: 1.5 is not usable; expected a whole number"]),
        ("command: ls, mode: fats", ['.mode: "fats" is not usable; expected fast or slow']),
        ("command: {a: 1}", [".command: a mapping is not usable; expected a text or a list"]),
        ("command: [1]", [".command[0]: 1 is not usable; expected a text"]),
        ("command: ", [".command: nothing is not usable; expected a text or a list"]),
        ("command: ls, env: {A: [1], B: x}", [".env.A: a list is not usable; expected a text or a whole number"]),
        (
            'command: ls, env: {"${inputs}": x}',
            ['.env["${inputs}"]: templates are not resolved in keys, as in "${inputs}"; write the key out'],
        ),
    ],
)
def test_parameters_are_those_of_the_type(text: str, expected: list[str]) -> None:
    assert params(text) == expected


def test_parameters_of_a_nested_model_and_of_validators() -> None:
    assert nodes("id: a, type: choose, params: {where: {hots: x, port: y}, name: too long}") == [
        "nodes[0].params.where.host (line 2): host is missing; add it",
        'nodes[0].params.name (line 2): "too long" is not usable: a name has at most 5 letters',
        'nodes[0].params.where.port (line 2): "y" is not usable; expected a whole number',
    ]
    assert nodes('id: a, type: choose, params: {name: "${inputs} long"}') == []
    assert nodes("id: a, type: workflow") == ["nodes[0].params (line 2): give path or document"]
    assert nodes("id: a, type: rough, params: {size: 5}") == [
        "nodes[0].params (line 2): cannot be checked: TypeError: object of type 'int' has no len()"
    ]


def test_a_template_where_none_is_resolved_is_told_where_they_are() -> None:
    assert nodes('id: a, type: rough, timeout_s: "${inputs.t}"') == [
        'nodes[0].timeout_s (line 2): "${inputs.t}" is not usable; expected a number; '
        "templates are resolved in params, fallback, batch.items and outputs"
    ]


def test_a_secret_is_not_shown() -> None:
    found = nodes("id: a, type: rough", more="inputs: {key: {type: integer, default: hunter2, secret: true}}")
    assert found == ["inputs.key.default (line 5): the value (a secret) is not usable; expected a whole number, the type of the input"]


def test_keys_of_the_document_by_name_are_not_its_keys() -> None:
    found = nodes("id: a, type: rough", "id: b, type: rough", edges="{source: a, target: b}")
    assert [problem for problem in found if "edges[0]" in problem] == [
        "edges[0].from (line 5): from is missing; add it",
        "edges[0].to (line 5): to is missing; add it",
        "edges[0].source (line 5): unknown key source; known are action, from, to",
        "edges[0].target (line 5): unknown key target; known are action, from, to",
    ]


A, B, C, D = (f"id: {name}, type: shell, params: {{command: x}}" for name in "abcd")
CHOOSE = "id: b, type: choose"


@pytest.mark.parametrize(
    ("rows", "edges", "expected"),
    [
        ((A, B, C), "{from: a, to: b}, {from: b, to: c}", []),
        ((A, B, C), "", ["nodes (line 1): there are no edges, so only a would run; add edges, such as {from: a, to: b}"]),
        ((A, B, C), "{from: a, to: b}", ["nodes[2] (line 4): no way leads from the start (a) to c; add an edge to it, or remove it"]),
        ((A, B), "{from: a, to: b, action: error}", []),
        ((A, CHOOSE, C), "{from: a, to: b}, {from: b, to: c, action: good}", []),
        # loops
        ((A,), "{from: a, to: a, action: error}", []),
        ((A, B), "{from: a, to: b}, {from: b, to: a, action: error}", []),
        ((A, B, C), "{from: a, to: b}, {from: b, to: a}, {from: b, to: c, action: error}", []),
        ((A, CHOOSE), "{from: a, to: b}, {from: b, to: a, action: again}", []),
        (
            (A,),
            "{from: a, to: a}",
            ["nodes[0] (line 2): no way leads out of the loop a → a; add an edge from one of its nodes to a node outside, or remove one"],
        ),
        (
            (A, B, C, D),
            "{from: a, to: b}, {from: b, to: c}, {from: c, to: d}, {from: d, to: b}, {from: d, to: c, action: error}",
            [
                "nodes[1] (line 3): no way leads out of the loop b → c → d → b; add an edge from one of its nodes to a node outside, or remove one"
            ],
        ),
        # one mistake in a name is one mistake
        ((A, B), "{from: a, to: bb}", ['edges[0].to (line 5): there is no node "bb"; did you mean b?']),
    ],
)
def test_every_node_is_reached_and_every_loop_left(rows: tuple[str, ...], edges: str, expected: list[str]) -> None:
    assert nodes(*rows, edges=edges) == expected


def reading(template: str, edges: str = "{from: a, to: b}, {from: b, to: c}", of_c: str = "") -> list[str]:
    """What is told of a template in node b, of a, b and c."""
    row = f'id: b, type: shell, params: {{command: "{template}"}}{of_c}'
    found = nodes(A, row, "id: c, type: choose", edges=edges, more="inputs: {who: {}, text: {type: string}}")
    return [problem.removeprefix("nodes[1].params.command (line 3): ") for problem in found]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("${a} ${a.stdout} ${a.stdout.x} ${inputs.who.x}", []),
        ("${a.out}", ["${a.out}: a has no out; did you mean stdout?"]),
        ("${a.xyz}", ["${a.xyz}: a has no xyz; there are stdout, exit_code"]),
        ("${c.any}", ["${c.any}: c can never have run before b: no way leads from it to there; add an edge, or read another node"]),
        ("${b.stdout}", ["${b.stdout}: a node cannot read what it is about to publish"]),
        ("${who}", ["${who}: there is no node who; did you mean ${inputs.who}?"]),
        ("${inputs.text.x}", ["${inputs.text.x}: the input text is of type string, so there is no x in it"]),
        (
            "${HOME}",
            [
                "${HOME}: there is no node HOME; there are a, b, c, inputs, run; a variable of the shell is written $NAME, or $${NAME} with braces"
            ],
        ),
        ("${index}", ["${index}: index is there only in the parameters of a batch node"]),
        ("${a.error}", ["${a.error}: a has no edge with action error, so the run ends when it fails; add one, or read another key"]),
    ],
)
def test_templates_read_what_is_there(template: str, expected: list[str]) -> None:
    assert reading(template) == expected


def test_what_is_not_reached_is_told_once() -> None:
    row = 'id: b, type: shell, params: {command: "${c.stdout}"}'
    assert nodes(A, row, C, edges="{from: a, to: b}") == [
        "nodes[2] (line 4): no way leads from the start (a) to c; add an edge to it, or remove it"
    ]


def test_a_mistake_is_one_line_whatever_it_quotes() -> None:
    found = told('"k\\n\\e[0m": 1\nname: x\nnodes: [{id: a, type: rough}]')
    assert len(found) == 1
    assert found[0].isprintable()


def test_templates_of_loops_errors_and_batches() -> None:
    loop = "{from: a, to: b}, {from: b, to: c}, {from: c, to: b, action: again}"
    assert reading("${c.any} ${b.stdout}", loop) == []
    assert reading("${a.error} ${a.error_type} ${a.stdout}", "{from: a, to: b, action: error}, {from: b, to: c}") == []
    assert reading("${x} ${index}", of_c=", batch: {items: [1], as: x}") == []
    assert reading("${item}", of_c=", batch: {items: [1], as: x}") == [
        "${item}: item is there only in the parameters of a batch node, where it is called x"
    ]
    batch = "id: a, type: shell, params: {command: x}, batch: {items: [1]}"
    after = 'id: b, type: shell, params: {command: "${a.results.0} ${a.count} ${a.failed} ${a.stdout}"}'
    assert nodes(batch, after, edges="{from: a, to: b}") == [
        "nodes[1].params.command (line 3): ${a.stdout}: a has no stdout; there are results, count, failed"
    ]


def test_the_figures_of_a_run_are_those_that_it_has() -> None:
    assert set(run_figures([])) == set(RUN_KEYS)


@pytest.mark.parametrize("name", ["run", "inputs", "index", "b"])
def test_the_item_of_a_batch_has_a_name_of_its_own(name: str) -> None:
    found = nodes(f"id: a, type: rough, batch: {{items: '${{item}}', as: {name}}}", "id: b, type: rough", edges="{from: a, to: b}")
    what = "a node" if name == "b" else "something else"
    assert f"nodes[0].batch.as (line 2): {name} means {what} already; choose another name for the item" in found
    assert any("items (line 2): ${item}: item is there only" in problem for problem in found)


def test_a_batch_runs_over_a_list_and_ends_in_one_way() -> None:
    for items, value in (("5", "5"), ("x", '"x"'), ('"x ${inputs}"', '"x ${inputs}"'), ("{a: 1}", '{"a": 1}'), ("", "null")):
        assert nodes(f"id: a, type: rough, batch: {{items: {items}}}") == [
            f"nodes[0].batch.items (line 2): {value} is not usable; expected a list, or one template of a list"
        ]
    batch = "id: b, type: choose, batch: {items: [1]}"
    assert nodes(A, batch, C, edges="{from: a, to: b}, {from: b, to: c, action: good}") == [
        'edges[1].action (line 6): a batch never ends with "good"; its actions are default, error'
    ]


@pytest.mark.parametrize("name", RESERVED)
def test_names_of_templates_are_no_ids(name: str) -> None:
    assert nodes(f"id: {name}, type: rough") == [
        f"nodes[0].id (line 2): {name} is reserved: templates mean something else by ${{{name}}}; choose another id"
    ]


CHILD = """
name: child
inputs: {who: {}, n: {type: integer, default: 1}}
nodes: [{id: a, type: shell, params: {command: x}}]
outputs: {said: "${a.stdout}"}
"""


def sub(tmp_path: Path, row: str, *rows: str, edges: str = "") -> list[str]:
    body = "\n".join(f"- {{{text}}}" for text in (f"id: a, type: workflow, params: {{{row}}}", *rows))
    path = tmp_path / "x.yaml"
    path.write_text(f"nodes:\n{body}\nname: x\n{'edges: [' + edges + ']' if edges else ''}\n")
    return [str(problem).replace(f"{tmp_path}/", "") for problem in problems(read(path), TYPES)]


def test_a_sub_workflow_is_checked_with_what_it_is_given(tmp_path: Path) -> None:
    (tmp_path / "child.yaml").write_text(CHILD)
    after = 'id: b, type: shell, params: {command: "${a.said} ${a.sad}"}'
    assert sub(tmp_path, "path: child.yaml, inputs: {who: x}", after, edges="{from: a, to: b}") == [
        "nodes[1].params.command (line 3): ${a.sad}: a has no sad; did you mean said?"
    ]
    assert sub(tmp_path, 'path: child.yaml, inputs: {who: "${inputs}", n: "7"}') == []
    assert sub(tmp_path, "path: child.yaml, inputs: {whom: x, n: many, z: 1}") == [
        'nodes[0].params.inputs.whom (line 2): the sub-workflow has no input "whom"; did you mean who?',
        'nodes[0].params.inputs.n (line 2): "many" is not usable; expected a whole number, the type of the sub-workflow\'s input',
        'nodes[0].params.inputs.z (line 2): the sub-workflow has no input "z"; known are who, n',
    ]
    assert sub(tmp_path, "path: child.yaml") == [
        "nodes[0].params.inputs (line 2): the sub-workflow needs the input who; add who: <a value>"
    ]
    assert sub(tmp_path, 'path: "${inputs}.yaml"') == []


def test_mistakes_of_a_sub_workflow_are_told_with_its_file_once(tmp_path: Path) -> None:
    (tmp_path / "child.yaml").write_text("name: c\nnodes:\n- {id: a, type: shel}\n")
    assert sub(tmp_path, "path: child.yaml", "id: b, type: workflow, params: {path: ./child.yaml}", edges="{from: a, to: b}") == [
        'child.yaml nodes[0].type (line 3): there is no node type "shel"; did you mean shell?'
    ]
    assert sub(tmp_path, "path: chidl.yaml") == [
        'nodes[0].params.path (line 2): "chidl.yaml": cannot be read: No such file or directory; did you mean child.yaml?'
    ]
    (tmp_path / "child.yaml").write_text("name: a: b")
    assert sub(tmp_path, "path: child.yaml")[0].startswith(
        'nodes[0].params.path (line 2): "child.yaml": line 1, column 8: is not YAML: mapping values are not allowed'
    )


def test_a_workflow_that_runs_itself_is_a_mistake(tmp_path: Path) -> None:
    assert sub(tmp_path, "path: x.yaml") == [
        "nodes[0].params.path (line 2): a workflow cannot run itself (x.yaml → x.yaml); make the repetition a loop of edges"
    ]
    (tmp_path / "y.yaml").write_text("name: y\nnodes: [{id: a, type: workflow, params: {path: x.yaml}}]\n")
    assert sub(tmp_path, "path: y.yaml") == [
        "y.yaml nodes[0].params.path (line 2): a workflow cannot run itself (x.yaml → y.yaml → x.yaml); make the repetition a loop of edges"
    ]
    (tmp_path / "z").mkdir()
    assert sub(tmp_path, "path: z/../x.yaml") == [
        "nodes[0].params.path (line 2): a workflow cannot run itself (x.yaml → x.yaml); make the repetition a loop of edges"
    ]
    (tmp_path / "link.yaml").symlink_to("link.yaml")
    assert "link.yaml" in sub(tmp_path, "path: link.yaml")[0]
    assert "cannot be read" in sub(tmp_path, 'path: "a\\0b"')[0] or "is no path" in sub(tmp_path, 'path: "a\\0b"')[0]


def test_a_sub_workflow_that_many_run_is_checked_once(tmp_path: Path) -> None:
    """Eighteen documents that run the next one twice: a quarter of a million ways lead to the last."""
    for level in range(18):
        row = f"type: workflow, params: {{path: d{level + 1}.yaml}}"
        (tmp_path / f"d{level}.yaml").write_text(f"name: d\nnodes: [{{id: a, {row}}}, {{id: b, {row}}}]\nedges: [{{from: a, to: b}}]\n")
    (tmp_path / "d18.yaml").write_text("name: d\nnodes: [{id: a, type: shel}]\n")
    assert sub(tmp_path, "path: d0.yaml") == ['d18.yaml nodes[0].type (line 2): there is no node type "shel"; did you mean shell?']


def test_a_document_inside_is_checked_at_its_place(tmp_path: Path) -> None:
    inline = 'document: {name: y, nodes: [{id: q, type: shell, params: {command: "${zz.y} ${inputs.w}", limt: 1}}]}'
    assert sub(tmp_path, inline) == [
        "nodes[0].params.document.nodes[0].params.limt (line 2): unknown key limt; did you mean limit?",
        "nodes[0].params.document.nodes[0].params.command (line 2): ${zz.y}: there is no node zz; there are q, inputs, run; "
        "a variable of the shell is written $NAME, or $${NAME} with braces",
        "nodes[0].params.document.nodes[0].params.command (line 2): ${inputs.w}: the document declares no inputs; add w to them",
    ]
    assert sub(tmp_path, "document: 5") == ["nodes[0].params.document (line 2): 5 is not usable; expected a mapping"]


def test_ten_thousand_nodes_in_a_row_are_checked() -> None:
    data: dict[str, Any] = {
        "name": "x",
        "nodes": [
            {"id": f"n{index}", "type": "shell", "params": {"command": f"${{n{index - 1}.stdout}}" if index else "x"}}
            for index in range(10_000)
        ],
        "edges": [{"from": f"n{index}", "to": f"n{index + 1}"} for index in range(9_999)],
    }
    assert problems(of(data, name="x"), TYPES) == []
    data["nodes"][5]["params"]["command"] = "${n9999.stdout}"
    (problem,) = problems(of(data, name="x"), TYPES)
    assert "n9999 can never have run before n5" in problem.message


KEYS = st.sampled_from(
    [
        *("name", "nodes", "edges", "inputs", "outputs", "start", "id", "type", "params", "from", "to", "action", "batch", "items", "as"),
        *("retry", "attempts", "fallback", "command", "document", "path", "value", "default", "required", "timeout_s", "max_visits", "env"),
    ]
)
TEXTS = st.sampled_from(
    ["a", "b", "shell", "choose", "workflow", "default", "error", "integer", "${a.stdout}", "${", "${inputs.a}", "x.yaml", "", "\0"]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.text(max_size=5)
ANYTHING = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=3), inner, max_size=5))
NODE = st.fixed_dictionaries(
    {},
    optional={
        "id": TEXTS,
        "type": TEXTS,
        "params": ANYTHING,
        "batch": ANYTHING,
        "retry": ANYTHING,
        "fallback": ANYTHING,
        "timeout_s": LEAVES,
    },
)
EDGE = st.fixed_dictionaries({}, optional={"from": TEXTS, "to": TEXTS, "action": TEXTS})
DOCUMENT = st.fixed_dictionaries(
    {"name": TEXTS, "nodes": st.lists(NODE | ANYTHING, max_size=4)},
    optional={"edges": st.lists(EDGE, max_size=5) | ANYTHING, "inputs": ANYTHING, "outputs": ANYTHING, "start": LEAVES, "x": ANYTHING},
)


@given(DOCUMENT | st.dictionaries(KEYS, ANYTHING, max_size=6))
def test_whatever_stands_in_a_document_the_check_tells_and_does_not_raise(data: dict[str, Any]) -> None:
    found = problems(of(data, name="x"), TYPES)
    assert all("\n" not in str(problem) and "pydantic" not in str(problem) for problem in found)
    if not found:
        assert isinstance(checked(of(data, name="x"), TYPES), Document)


ROW = st.fixed_dictionaries(
    {"id": st.sampled_from("abcd"), "type": st.sampled_from(["rough", "choose"])},
    optional={"batch": st.just({"items": [1]}), "timeout_s": st.just(1)},
)
LINK = st.fixed_dictionaries(
    {"from": st.sampled_from("abcd"), "to": st.sampled_from("abcd")}, optional={"action": st.sampled_from(["default", "error", "again"])}
)


@given(st.lists(ROW, min_size=1, max_size=4), st.lists(LINK, max_size=6))
def test_what_passes_the_check_compiles_and_what_does_not_compile_does_not_pass(rows: list[Any], links: list[Any]) -> None:
    data = {"name": "x", "nodes": rows, "edges": links}
    found = problems(of(data, name="x"), TYPES)
    if not found:
        compile_workflow(checked(of(data, name="x"), TYPES), types=TYPES)
        return
    try:
        compile_workflow(Document.model_validate(data), types=TYPES)
    except DocumentError:
        return
    assert all(any(reason in problem.message for reason in ("no way", "never ends", "no edges")) for problem in found)


def document(**inputs: dict[str, Any]) -> Document:
    return Document.model_validate({"name": "x", "nodes": [{"id": "a", "type": "shell"}], "inputs": inputs})


@pytest.mark.parametrize(
    ("type_", "value", "expected"),
    [
        ("string", "5", "5"),
        ("number", "5", 5),
        ("number", "2.5", 2.5),
        ("number", 2, 2),
        ("integer", " 5 ", 5),
        ("integer", 5.0, 5),
        ("boolean", "Yes", True),
        ("boolean", "0", False),
        ("boolean", True, True),
        ("object", '{"a": [1]}', {"a": [1]}),
        ("array", "[1, 2]", [1, 2]),
        ("array", [1], [1]),
        ("any", "5", "5"),
        ("any", {"a": 1}, {"a": 1}),
    ],
)
def test_inputs_become_what_is_declared(type_: str, value: Any, expected: Any) -> None:
    found = inputs_for(document(x={"type": type_}), {"x": value})["x"]
    assert (type(found), found) == (type(expected), expected)


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("string", 5),
        ("number", "five"),
        ("number", "nan"),
        ("number", True),
        ("integer", "2.5"),
        ("integer", "1e400"),
        ("boolean", "maybe"),
        ("boolean", 1),
        ("object", "[1]"),
        ("object", "{a: 1}"),
        ("array", '{"a": 1}'),
        ("array", "[" * 100_000),
    ],
)
def test_inputs_of_another_type_are_refused(type_: str, value: Any) -> None:
    with pytest.raises(DocumentError, match=r"inputs\.x: .* is not usable; expected "):
        inputs_for(document(x={"type": type_}), {"x": value})


def test_every_mistake_in_the_inputs_is_told_at_once_and_no_secret() -> None:
    declared = document(
        who={"description": "whom to greet"},
        n={"type": "integer"},
        key={"type": "integer", "secret": True},
        opt={"required": False},
        d={"default": 7},
    )
    with pytest.raises(DocumentError) as caught:
        inputs_for(declared, {"n": "many", "key": "s3cret", "hwo": "x", "zzz": 1})
    assert caught.value.problems == (
        "inputs.hwo: the workflow has no input of that name; did you mean who?",
        "inputs.zzz: the workflow has no input of that name; known are who, n, key, opt, d",
        "inputs.who: is missing (whom to greet); give it as who=<a value>",
        'inputs.n: "many" is not usable; expected a whole number',
        "inputs.key: the value (a secret) is not usable; expected a whole number",
    )
    assert inputs_for(declared, {"who": "a", "n": "1", "key": "2"}) == {"who": "a", "n": 1, "key": 2, "opt": None, "d": 7}
    with pytest.raises(DocumentError, match="it has none at all"):
        inputs_for(document(), {"x": 1})


def test_problems_are_plain_values() -> None:
    (problem,) = problems(of({"name": "x", "nodes": []}, name="x"), TYPES)
    assert (problem.place, problem.line, problem.file) == ("nodes", None, None)
    assert json.dumps(problem.message) == '"a list is not usable; expected at least 1 item"'
