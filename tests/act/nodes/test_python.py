"""A python node calls a function from the document's directory or an installed package, synchronous or not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clew.act.workflow import running
from clew.act.workflow.nodes import function
from clew.act.workflow.running import Running
from clew.testing import recording

if TYPE_CHECKING:
    from tests.act.nodes.conftest import Run

STEPS = """
import asyncio

import clew


def join(parts, by=" "):
    return by.join(parts)


def split(text):
    return {"first": text[0], "rest": text[1:]}


def route(number):
    return {"action": "odd" if number % 2 else "even", "number": number}


async def slowly(text):
    await asyncio.sleep(0)
    with clew.tool("inside"):
        return {"text": text}


def deferred(text):
    return slowly(text)


def count():
    yield 1
    yield 2


def numbered():
    return {1: "one"}


def fail():
    raise LookupError("nothing there")


class Box:
    @staticmethod
    def open(lid):
        return f"opened {lid}"


LIMIT = 3
"""


@pytest.fixture
def steps(base: Path) -> str:
    """A module of the document's directory; each test has its own of the same name."""
    (base / "steps.py").write_text(STEPS)
    return "steps"


def test_a_result_is_published_under_result(run: Run, steps: str) -> None:
    assert run("python", function=f"{steps}:join", args={"parts": ["a", "b"], "by": "-"}).results == {"result": "a-b"}


def test_a_mapping_is_published_key_by_key(run: Run, steps: str) -> None:
    assert run("python", function=f"{steps}:split", args={"text": "abc"}).results == {"first": "a", "rest": "bc"}


def test_a_mapping_whose_keys_are_no_texts_is_one_result(run: Run, steps: str) -> None:
    assert run("python", function=f"{steps}:numbered").results == {"result": {1: "one"}}


def test_the_function_may_choose_the_edge(run: Run, steps: str) -> None:
    assert run("python", function=f"{steps}:route", args={"number": 3}).action == "odd"
    assert run("python", function=f"{steps}:route", args={"number": 4}).action == "even"


@pytest.mark.parametrize("name", ["slowly", "deferred"])
def test_an_asynchronous_function_is_run_to_its_end_and_recorded_under_the_node(run: Run, steps: str, name: str) -> None:
    with recording() as record:
        assert run("python", function=f"{steps}:{name}", args={"text": "x"}).results == {"text": "x"}
    assert record.tree() == [f"tool {name}", "  tool inside"]


def test_an_asynchronous_function_runs_also_inside_an_asynchronous_program(run: Run, steps: str) -> None:
    async def program() -> object:
        return run("python", function=f"{steps}:slowly", args={"text": "x"}).results

    with recording() as record:
        assert asyncio.run(program()) == {"text": "x"}
    assert record.tree() == ["tool slowly", "  tool inside"]


def test_a_generator_gives_a_list(run: Run, steps: str) -> None:
    assert run("python", function=f"{steps}:count").results == {"result": [1, 2]}


def test_a_function_of_an_installed_package_or_a_class(run: Run, steps: str) -> None:
    assert run("python", function="os.path:basename", args={"p": "/a/b"}).results == {"result": "b"}
    assert run("python", function=f"{steps}:Box.open", args={"lid": "blue"}).results == {"result": "opened blue"}


def test_two_documents_may_each_have_a_module_of_the_same_name(tmp_path: Path) -> None:
    for name in ("one", "two", "one"):
        place = tmp_path / name
        place.mkdir(exist_ok=True)
        (place / "steps.py").write_text(f"def who():\n    return {name!r}\n")
        assert function.find("steps:who", place)() == name


def test_a_module_in_a_package_of_the_documents_directory(run: Run, base: Path) -> None:
    (base / "tasks").mkdir()
    (base / "tasks" / "__init__.py").touch()
    (base / "tasks" / "text.py").write_text("def up(text):\n    return text.upper()\n")
    assert run("python", function="tasks.text:up", args={"text": "a"}).results == {"result": "A"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("stepz:join", "stepz:join: there is no module stepz in {base} or installed"),
        ("steps:joyn", "steps ({base}/steps.py) has no joyn; it has Box, count, deferred, fail, join, numbered, route, slowly, split"),
        ("steps:LIMIT", "steps:LIMIT is no function but int; name a function"),
        ("broken:x", "broken:x: importing broken raised ZeroDivisionError: division by zero"),
        ("needy:x", "needy:x: needy needs the module no_such_thing, which is not installed"),
    ],
)
def test_what_cannot_be_called_is_named(run: Run, base: Path, steps: str, name: str, message: str) -> None:
    (base / "broken.py").write_text("1 / 0\n")
    (base / "needy.py").write_text("import no_such_thing\n")
    assert run("python", function=name).message == message.format(base=base.resolve())


def test_what_the_function_raises_fails_the_node_and_the_span(run: Run, steps: str) -> None:
    with recording() as record:
        done = run("python", function=f"{steps}:fail")
    assert isinstance(done.error, LookupError)
    assert (record.span("fail").status, record.span("fail").message) == ("error", "nothing there")


def test_arguments_and_result_are_recorded(run: Run, steps: str) -> None:
    with recording() as record:
        run("python", function=f"{steps}:join", args={"parts": ["a", "b"]})
    span = record.span("join")
    assert span.kind == "tool"
    assert span.attributes["gen_ai.tool.call.arguments"] == '{"parts":["a","b"]}'
    assert span.attributes["gen_ai.tool.call.result"] == "a b"


def test_the_search_path_is_as_before(run: Run, steps: str, base: Path) -> None:
    import sys

    before = list(sys.path)
    run("python", function=f"{steps}:join", args={"parts": []})
    assert sys.path == before
    assert running.run.get() == Running(base=base)
