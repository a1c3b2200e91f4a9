"""Node types of other packages are found where they are installed; a broken one costs only itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clew.act.workflow.nodes.node import NodeType
from clew.act.workflow.registry import BUILT_IN, NodeTypeWarning, node_types

MODULE = '''
from clew.act.workflow.nodes import node


class Shout(node.NodeType):
    """Says it in capitals."""

    type = "shout"
    outputs = {"text": "What was said"}

    class Params(node.Params):
        text: str

    def execute(self, params):
        return {"text": params.text.upper()}


class Idle(node.NodeType):
    type = "idle"


def no_class():
    pass
'''


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory on the path that a distribution is installed in by :func:`install`."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("clew_example_")]:
        del sys.modules[name]


def install(site: Path, module: str, code: str, *entries: str) -> None:
    """What an installer leaves behind: the module, and the distribution's metadata."""
    (site / f"{module}.py").write_text(code)
    info = site / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module.replace('_', '-')}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[clew.nodes]\n" + "\n".join(entries) + "\n")


def test_the_built_in_types_are_there_under_their_own_names() -> None:
    types = node_types()
    assert list(types) == list(BUILT_IN)
    assert {name: node_type.type for name, node_type in types.items()} == {name: name for name in BUILT_IN}
    assert all(issubclass(node_type, NodeType) and node_type.__doc__ for node_type in types.values())


def test_a_type_of_an_installed_package_is_found_and_runs(installed: Path) -> None:
    install(installed, "clew_example_shout", MODULE, "shout = clew_example_shout:Shout")
    node = node_types()["shout"]()
    node.set_params({"text": "hello"})
    shared: dict[str, object] = {}
    assert node._run(shared) == "default"
    assert shared == {"text": "HELLO"}


def test_a_broken_package_costs_only_itself_and_is_named(installed: Path) -> None:
    install(installed, "clew_example_shout", MODULE, "shout = clew_example_shout:Shout")
    install(installed, "clew_example_broken", "raise RuntimeError('half installed')", "wail = clew_example_broken:Wail")
    with pytest.warns(NodeTypeWarning) as warned:
        types = node_types()
    assert [*BUILT_IN, "shout"] == list(types)
    assert [str(warning.message) for warning in warned] == [
        "node type 'wail' of clew-example-broken is left out: clew_example_broken:Wail does not load: RuntimeError: half installed"
    ]


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ("shell = clew_example_bad:Shout", "node type 'shell' of clew-example-bad is left out: Clew has a type of that name"),
        (
            "x = clew_example_bad:no_class",
            "node type 'x' of clew-example-bad is left out: clew_example_bad:no_class is no subclass of NodeType",
        ),
        ("x = clew_example_bad:Idle", "node type 'x' of clew-example-bad is left out: clew_example_bad:Idle does not implement execute()"),
        (
            "x = clew_example_bad:Gone",
            "node type 'x' of clew-example-bad is left out: clew_example_bad:Gone does not load: AttributeError: "
            "module 'clew_example_bad' has no attribute 'Gone'",
        ),
    ],
)
def test_an_entry_that_is_no_node_type_is_left_out(installed: Path, entry: str, complaint: str) -> None:
    install(installed, "clew_example_bad", MODULE, entry)
    with pytest.warns(NodeTypeWarning) as warned:
        types = node_types()
    assert list(types) == list(BUILT_IN)
    assert [str(warning.message) for warning in warned] == [complaint]


def test_of_two_packages_with_the_same_name_the_first_keeps_it(installed: Path) -> None:
    install(installed, "clew_example_one", MODULE, "shout = clew_example_one:Shout")
    install(installed, "clew_example_two", MODULE, "shout = clew_example_two:Shout")
    with pytest.warns(
        NodeTypeWarning, match=r"^node type 'shout' of clew-example-two is left out: clew_example_one has a type of that name$"
    ):
        types = node_types()
    assert types["shout"].__module__ == "clew_example_one"
