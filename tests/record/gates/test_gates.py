"""A gate says passed, failed or error; a required one stops what it guards, an advisory one is only recorded."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import clew
from clew.record import labels, state
from clew.testing import Recording, recording


@pytest.fixture
def record() -> Iterator[Recording]:
    with recording() as made:
        yield made


def told(record: Recording, name: str) -> dict[str, Any]:
    span = record.span(name)
    assert span.kind == "gate"
    found = {key.removeprefix("clew.gate."): value for key, value in span.attributes.items() if key.startswith("clew.gate.")}
    return {"status": span.status, **found}


def test_nothing_said_and_nothing_raised_is_passed(record: Recording) -> None:
    with clew.gate("tests"):
        pass
    assert told(record, "tests") == {"status": "ok", "required": True, "result": "passed", "check": "manual"}


def test_a_verdict_has_its_reason_score_and_evidence(record: Recording) -> None:
    with clew.gate("coverage", required=False, at_least=80) as gate:
        gate.failed("71 % < 80 %", score=71, evidence={"worst": "a.py"})
    assert told(record, "coverage") == {
        "status": "ok",
        "required": False,
        "result": "failed",
        "check": "manual",
        "reason": "71 % < 80 %",
        "score": 71.0,
        "threshold": 80.0,
    }
    assert record.span("coverage").attributes["clew.output"] == '{"worst":"a.py"}'


def test_a_required_gate_that_is_not_passed_stops_what_it_guards(record: Recording) -> None:
    reached = []

    @clew.node
    def build() -> None:
        with clew.gate("tests") as gate:
            gate.failed("2 of 9 failed")
        reached.append(1)

    with pytest.raises(clew.GateFailed, match="gate tests failed: 2 of 9 failed") as refused:
        build()
    assert reached == []
    assert (refused.value.gate, refused.value.result, refused.value.reason) == ("tests", "failed", "2 of 9 failed")
    assert record.tree() == ["node build !", "  gate tests !"]


def test_an_assertion_is_a_verdict(record: Recording) -> None:
    with clew.gate("advisory", required=False):
        assert 1 > 2, "one is less"
    with pytest.raises(clew.GateFailed, match="gate required failed: one is less"), clew.gate("required"):
        assert 1 > 2, "one is less"
    assert (told(record, "advisory")["result"], told(record, "required")["status"]) == ("failed", "error")


@pytest.mark.parametrize("required", [True, False])
def test_another_exception_in_a_block_is_an_error_and_goes_on(record: Recording, required: bool) -> None:
    with pytest.raises(ZeroDivisionError), clew.gate("tests", required=required):
        _ = 1 / 0
    assert told(record, "tests")["result"] == "error"
    assert told(record, "tests")["reason"] == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize(
    ("value", "result"),
    [
        (True, "passed"),
        (False, "failed"),
        (None, "passed"),
        (0.9, "passed"),
        (0.3, "failed"),
        ({"passed": True, "reason": "fine", "score": 3}, "passed"),
        ({"passed": "yes"}, "error"),
        ("fine", "error"),
    ],
)
def test_a_decorated_functions_value_is_the_verdict_and_is_still_given(record: Recording, value: object, result: str) -> None:
    @clew.gate("review", required=False, at_least=0.8)
    def review() -> object:
        return value

    @clew.gate("later", required=False, at_least=0.8)
    async def later() -> object:
        return value

    assert review() == value
    assert asyncio.run(later()) == value
    assert [told(record, name)["result"] for name in ("review", "later")] == [result, result]


def test_a_check_that_cannot_be_made_stops_only_a_required_gate(record: Recording) -> None:
    def broken() -> bool:
        raise OSError("no such service")

    assert clew.gate("advisory", required=False).check(broken).result == "error"
    with pytest.raises(clew.GateFailed, match="gate required could not be checked: OSError: no such service"):
        clew.gate("required").check(broken)


def test_a_gate_is_counted_for_the_stage_it_stands_in(record: Recording) -> None:
    with clew.node("build", stage="build"), clew.gate("of the span"):
        pass
    token = labels.put(workflow="release", stage="publish", persona="devops")
    with clew.gate("of the labels"):
        pass
    labels.restore(token)
    with clew.gate("its own", workflow="w", stage="s"):
        pass
    found = [
        (span.attributes.get("gen_ai.workflow.name"), span.attributes.get("clew.stage")) for span in record.spans if span.kind == "gate"
    ]
    assert found == [(None, "build"), ("release", "publish"), ("w", "s")]


def test_a_verdict_that_is_known_is_only_recorded_by_start_and_end(record: Recording) -> None:
    clew.gate("from outside", result="failed", reason="a person said so").start().end()
    assert told(record, "from outside")["result"] == "failed"


def test_gates_work_while_recording_is_off() -> None:
    with recording():
        before = state.recorder
        state.use(None)
        try:
            with pytest.raises(clew.GateFailed), clew.gate("tests") as gate:
                gate.failed("no")
            assert clew.gate("advisory", required=False).check(lambda: False).result == "failed"
        finally:
            state.use(before)


# -- checks -----------------------------------------------------------------------------------------------------------------------


def test_a_command_passes_by_its_exit_code(tmp_path: Path) -> None:
    good = clew.checks.command([sys.executable, "-c", "print('fine')"], cwd=tmp_path)()
    assert (good.result, good.evidence["output"]) == ("passed", "fine\n")
    bad = clew.checks.command("echo line 3: unused >&2; exit 2")()
    assert (bad.result, bad.evidence["exit_code"], bad.reason.endswith("ended with 2: line 3: unused")) == ("failed", 2, True)
    assert clew.checks.command(["no-such-linter"])().reason == "no-such-linter cannot be started: No such file or directory"


def test_a_command_that_takes_too_long_is_ended_with_its_children() -> None:
    found = clew.checks.command("sleep 1000 & sleep 1000", timeout_s=0.05)()
    assert (found.result, found.reason) == ("error", "sleep 1000 & sleep 1000 took longer than 0.05 s and was ended")


JUNIT = '<testsuites><testsuite>{}<testcase classname="t" name="skip"><skipped/></testcase></testsuite></testsuites>'
GOOD = '<testcase classname="t" name="one"/>'
BAD = '<testcase classname="t" name="two"><failure message="no"/></testcase>'


@pytest.mark.parametrize(
    ("content", "result", "reason"),
    [
        (JUNIT.format(GOOD), "passed", "1 tests passed"),
        (JUNIT.format(GOOD + BAD), "failed", "1 of 2 tests failed: t::two"),
        (JUNIT.format(""), "failed", "no test ran (1 skipped)"),
        ("no xml", "error", "cannot be read"),
    ],
)
def test_a_junit_report(tmp_path: Path, content: str, result: str, reason: str) -> None:
    (tmp_path / "report.xml").write_text(content)
    found = clew.checks.junit(tmp_path / "report.xml")()
    assert found.result == result
    assert reason in found.reason


@pytest.mark.parametrize(
    ("content", "result", "score"),
    [
        ('<coverage line-rate="0.815" branch-rate="0"/>', "passed", 81.5),
        ('<coverage line-rate="0.79"/>', "failed", 79.0),
        ('{"totals": {"percent_covered": 80.0}}', "passed", 80.0),
        ('{"totals": {}}', "error", None),
        ("<html/>", "error", None),
    ],
)
def test_a_coverage_report(tmp_path: Path, content: str, result: str, score: float | None) -> None:
    (tmp_path / "coverage").write_text(content)
    found = clew.checks.coverage(tmp_path / "coverage", at_least=80)()
    assert (found.result, found.score, found.threshold) == (result, score, 80)


def test_a_report_that_is_not_there_says_how_to_write_it(tmp_path: Path) -> None:
    found = clew.checks.junit(tmp_path / "none.xml")()
    assert (
        found.reason
        == f"{tmp_path / 'none.xml'} cannot be read: No such file or directory; write it with pytest --junitxml={tmp_path / 'none.xml'}"
    )


def test_a_functions_verdict() -> None:
    assert clew.checks.judged(lambda text: len(text), "hello", at_least=3)().result == "passed"
