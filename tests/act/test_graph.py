"""A workflow as a Mermaid flowchart."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from clew.act.workflow.document import Document
from clew.act.workflow.graph import mermaid

DOCUMENT = Document.model_validate(
    {
        "name": "release",
        "start": "test",
        "nodes": [
            {"id": "end", "type": "shell"},
            {"id": "test", "type": "python", "batch": {"items": "${inputs.files}", "parallel": 4}},
            {"id": "notes", "type": "workflow", "params": {"path": "notes.yaml"}, "batch": {"items": [1, 2]}},
            {"id": "inside", "type": "workflow", "params": {"document": {"name": "inner"}}},
        ],
        "edges": [
            {"from": "test", "to": "notes"},
            {"from": "test", "to": "end", "action": "error"},
            {"from": "notes", "to": "inside", "action": 'say "yes"'},
            {"from": "inside", "to": "test"},
        ],
    }
)


def test_nodes_edges_batches_and_sub_workflows_are_drawn() -> None:
    assert mermaid(DOCUMENT) == (
        "flowchart TD\n"
        '    start(["release"]) --> n1\n'
        '    n0["end<br/>shell"]\n'
        '    n1[["test<br/>python<br/>for each of $#123;inputs.files#125;, 4 at once"]]\n'
        '    n2[["notes<br/>workflow notes.yaml<br/>for each of 2 items"]]\n'
        '    n3[/"inside<br/>workflow inner"/]\n'
        "    n1 --> n2\n"
        '    n1 -.->|"error"| n0\n'
        '    n2 -->|"say #34;yes#34;"| n3\n'
        "    n3 --> n1\n"
    )


LINE = re.compile(
    r"""flowchart[ ]TD
    |[ ]{4}start\(\["[^"<>`\[\](){}|]*"\]\)[ ]-->[ ]n\d+
    |[ ]{4}n\d+\["[^"<>`\[\](){}|]*<br/>[^"<>`\[\](){}|]*"\]
    |[ ]{4}n\d+[ ]-->\|"[^"<>`\[\](){}|]*"\|[ ]n\d+""",
    re.VERBOSE,
)


@given(st.text(min_size=1, max_size=200), st.text(), st.text(min_size=1).filter(lambda action: action not in ("default", "error")))
def test_no_text_of_a_document_can_end_its_label(name: str, type_: str, action: str) -> None:
    document = Document.model_validate(
        {
            "name": name,
            "nodes": [{"id": "a", "type": "x" + type_}],
            "edges": [{"from": "a", "to": "a", "action": action}],
        }
    )
    lines = mermaid(document).splitlines()
    assert len(lines) == 4
    assert all(LINE.fullmatch(line) for line in lines)
