"""A shell node runs a real command, says what it printed, and never leaves a process behind."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clew.act.workflow import running
from clew.act.workflow.running import Try
from clew.testing import recording

if TYPE_CHECKING:
    from tests.act.nodes.conftest import Run


def test_a_text_is_run_by_the_shell(run: Run) -> None:
    done = run("shell", command="echo $((6 * 7)); echo oops >&2")
    assert done.action == "default"
    assert done.results == {"stdout": "42\n", "stderr": "oops\n", "exit_code": 0}


def test_a_list_is_run_without_a_shell_so_nothing_needs_quoting(run: Run) -> None:
    assert run("shell", command=["printf", "%s|", "a b", "$HOME", "; rm -rf x", "'"]).results["stdout"] == "a b|$HOME|; rm -rf x|'|"


def test_values_reach_a_shell_command_safely_by_its_environment(run: Run) -> None:
    done = run("shell", command='printf "%s" "$TITLE $COUNT $FLAG"', env={"TITLE": "it's; $(date)", "COUNT": 3, "FLAG": True})
    assert done.results["stdout"] == "it's; $(date) 3 true"


def test_the_environment_of_this_process_is_inherited(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_VARIABLE", "inherited")
    assert run("shell", command='printf "%s" "$SOME_VARIABLE"').results["stdout"] == "inherited"


def test_it_runs_in_the_documents_directory_or_one_below(run: Run, base: Path) -> None:
    (base / "sub").mkdir()
    assert run("shell", command="pwd -P").results["stdout"].strip() == str(base.resolve())
    assert run("shell", command="pwd -P", cwd="sub").results["stdout"].strip() == str(base.resolve() / "sub")


def test_it_reads_what_it_is_given_and_otherwise_nothing(run: Run) -> None:
    assert run("shell", command="cat", stdin="line\nälter\n").results["stdout"] == "line\nälter\n"
    assert run("shell", command="cat").results["stdout"] == ""


def test_input_that_nobody_reads_is_no_fault(run: Run) -> None:
    assert run("shell", command="exit 0", stdin="x" * 1_000_000).results["exit_code"] == 0


def test_an_exit_code_other_than_0_fails_the_node_and_its_results_stay(run: Run) -> None:
    done = run("shell", command="echo started; echo 'no such table' >&2; exit 3")
    assert done.message == "echo started; echo 'no such table' >&2; exit 3 ended with exit code 3: no such table"
    assert done.results == {"stdout": "started\n", "stderr": "no such table\n", "exit_code": 3}


def test_a_command_that_a_signal_ended_says_which(run: Run) -> None:
    done = run("shell", command="kill -9 $$")
    assert done.message == "kill -9 $$ was ended by signal 9"
    assert done.results["exit_code"] == -9


@pytest.mark.parametrize("how", [{"check": False}, {"ok_exit_codes": [0, 3]}])
def test_a_code_may_be_declared_good(run: Run, how: dict[str, object]) -> None:
    assert run("shell", command="exit 3", **how).action == "default"


def test_a_code_may_choose_the_edge(run: Run) -> None:
    assert run("shell", command="exit 3", actions={3: "empty"}).action == "empty"
    assert run("shell", command="exit 0", actions={3: "empty"}).action == "default"
    assert run("shell", command="exit 4", actions={3: "empty"}).message == "exit 4 ended with exit code 4"


def test_a_program_that_is_not_there_is_named(run: Run) -> None:
    assert run("shell", command=["no-such-program", "--help"]).message.startswith("no-such-program --help cannot be run in ")


def test_a_directory_that_is_not_there_is_named(run: Run, base: Path) -> None:
    assert str(base / "gone") in run("shell", command="true", cwd="gone").message


def test_bytes_that_are_no_text_are_replaced(run: Run) -> None:
    assert run("shell", command=r"printf 'a\377b'").results["stdout"] == "a\ufffdb"


def test_of_a_long_output_the_start_and_the_end_are_kept_and_the_cut_is_told(run: Run) -> None:
    done = run("shell", command=[sys.executable, "-c", "print('A' * 50_000, 'B' * 50_000, end='')"], max_output_bytes=1000)
    assert done.results["stdout"] == f"{'A' * 500}\n… [cut: 99001 bytes] …\n{'B' * 500}"


def test_a_short_output_is_whole_to_the_last_byte(run: Run) -> None:
    assert run("shell", command="printf 1234567890", max_output_bytes=10).results["stdout"] == "1234567890"


def test_a_time_out_ends_the_whole_group_of_processes(run: Run, base: Path) -> None:
    done = run("shell", command="sleep 600 & echo $! > pid; wait", timeout_s=2)
    assert done.message == "sleep 600 & echo $! > pid; wait took longer than 2 s and was ended; raise timeout_s, or make it faster"
    assert isinstance(done.error, TimeoutError)
    assert_gone(int((base / "pid").read_text()))


def assert_gone(pid: int) -> None:
    """The process has ended; one that init has not yet waited for counts as ended."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        status = Path(f"/proc/{pid}/stat")
        if status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z":
            return
    raise AssertionError(f"process {pid} is still there")


def test_a_try_that_is_given_up_ends_the_command(run: Run, base: Path) -> None:
    attempt = Try()

    def give_up() -> None:
        while not (base / "started").exists():
            pass
        attempt.abandon()

    threading.Thread(target=give_up).start()
    token = running.attempt.set(attempt)
    done = run("shell", command="touch started; sleep 600")
    running.attempt.reset(token)
    assert done.message == "touch started; sleep 600 was ended by signal 15"


def test_what_the_node_may_still_take_bounds_the_command(run: Run) -> None:
    token = running.attempt.set(Try(0.05))
    done = run("shell", command="sleep 600", timeout_s=500)
    running.attempt.reset(token)
    assert isinstance(done.error, TimeoutError)


def test_a_process_that_is_left_behind_does_not_hold_the_node(run: Run) -> None:
    done = run("shell", command="sleep 600 & echo $!")
    os.kill(int(done.results["stdout"]), 9)
    assert done.action == "default"


def test_the_record_has_command_and_output_and_a_child_comes_under_it(run: Run) -> None:
    with recording() as record:
        done = run("shell", command='printf "%s" "$TRACEPARENT"')
    span = record.span("shell")
    assert (span.kind, span.status) == ("execution", "ok")
    assert done.results["stdout"] == f"00-{span.trace_id}-{span.span_id}-01"
    assert '"stdout":"00-' in span.attributes["clew.output"]


def test_a_failed_command_is_a_failed_span(run: Run) -> None:
    with recording() as record:
        run("shell", command="echo no >&2; exit 1")
    assert (record.span("shell").status, record.span("shell").message) == ("error", "echo no >&2; exit 1 ended with exit code 1: no")
