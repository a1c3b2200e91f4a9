"""The commands, run as a user runs them."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.needs("chdb", "clickhouse_connect", "lark")

Requests = Callable[..., bytes]
Until = Callable[..., Any]
ANSI = "\x1b["


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, make_request: Requests, command_line: Any) -> Iterator[Any]:
    """A store to read: three runs of four spans, the newest failed, under an owner that stays until the last test."""
    clew = command_line(tmp_path_factory.mktemp("filled") / "clew", {"CLEW_OWNER_LINGER_S": "60", "TZ": "UTC"})
    failed = make_request(2, 4, name="bad \x1b[31mname\x1b[0m", status={"code": 2, "message": "rate limit\nreached \x07"})
    lines = make_request(0, 4) + make_request(1, 4) + failed
    clew.run("import", "-", input=lines)
    yield clew
    clew.stop_owner()


def test_the_exit_codes_and_commands_are_in_the_help(clew: Any) -> None:
    out, err = clew.run("--help")
    assert err == ""
    for word in ("import", "runs", "show", "search", "cost", "sql", "tail", "doctor", "130  interrupted"):
        assert word in out
    assert not clew.data_dir.exists()
    assert clew.run("--version")[0].startswith("clew ")


@pytest.mark.parametrize(
    "arguments",
    [["nothing"], ["runs", "--no-such"], ["import"], ["cost", "--by", "moon"], ["runs", "--limit", "0"], ["show"]],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2(clew: Any, arguments: list[str]) -> None:
    out, err = clew.run(*arguments, code=2)
    assert out == ""
    assert err.startswith("clew: ")
    assert err.endswith(" --help)\n")
    assert err.count("\n") == 1


def test_a_mistyped_command_gets_the_nearest(clew: Any) -> None:
    assert clew.run("rnu", code=2)[1] == "clew: there is no command 'rnu'; did you mean run? (clew --help)\n"


def test_a_setting_that_cannot_be_used_exits_with_2(clew: Any) -> None:
    for name in ("CLEW_OWNER_LINGER_S", "CLEW_OWNER_WAIT_S"):
        _, err = clew.run("runs", code=2, env={name: "soon"})
        assert err.startswith(f"clew: {name}='soon' is not usable: ")


def test_an_empty_store_says_what_to_do_next(clew: Any) -> None:
    clew.environment["CLEW_OWNER_LINGER_S"] = "60"
    assert "clew import FILE" in clew.run("runs")[0]
    assert "clew import FILE" in clew.run("cost")[0]
    assert clew.run("show", "last", code=1)[1] == "clew: there is no run yet; record a program, or import a file with: clew import FILE\n"
    assert clew.run("search", "status:error")[0].startswith("No span matches.")
    assert clew.run("doctor")[0].endswith("All is well.\n")


def test_broken_lines_are_reported_with_file_and_number_and_the_rest_is_kept(clew: Any, tmp_path: Path, make_request: Requests) -> None:
    clew.environment["CLEW_OWNER_LINGER_S"] = "60"
    path = tmp_path / "some.jsonl"
    path.write_bytes(make_request(0, 2) + b"{broken\n" + make_request(1, 2) + b'{"resourceSpans": 7}\n' + make_request(2, 2)[:100])
    out, err = clew.run("import", path, code=1)
    assert out == f"{path}: 4 spans, 3 that could not be read in 2 requests (json)\n"
    assert [line.split(": ")[1] for line in err.splitlines()] == [f"{path}:2", f"{path}:4", f"{path}:5"]
    found = clew.json("import", path, code=1)
    assert [(taken["spans"], taken["faulty"], [fault["line"] for fault in taken["faults"]]) for taken in found] == [(4, 3, [2, 4, 5])]
    assert clew.rows("SELECT count() AS n FROM spans") == [{"n": 4}]


def test_a_file_that_cannot_be_read_does_not_stop_the_others(clew: Any, tmp_path: Path, make_request: Requests) -> None:
    clew.environment["CLEW_OWNER_LINGER_S"] = "60"
    good, binary = tmp_path / "good.jsonl", tmp_path / "binary"
    good.write_bytes(make_request(0, 2))
    binary.write_bytes(os.urandom(64).replace(b"\n", b"x").replace(b"\x00", b"x").replace(b"{", b"x"))
    out, err = clew.run("import", tmp_path / "absent", tmp_path, binary, good, code=1)
    assert f"{good}: 2 spans in 1 request (json)" in out
    assert len(err.splitlines()) == 3
    assert f"clew: {tmp_path / 'absent'} cannot be read: No such file or directory\n" in err
    assert f"clew: {tmp_path} cannot be read: it is a directory; name the files in it\n" in err
    assert "neither OTLP/JSON" in err or "not a readable" in err


def test_runs(filled: Any) -> None:
    found = filled.json("runs")
    assert [(run["run_id"], run["name"], run["status"], run["spans"], run["model_calls"], run["input_tokens"]) for run in found] == [
        (f"{3:08x}{0:024x}", "run 2", "error", 4, 3, 3000),
        (f"{2:08x}{0:024x}", "run 1", "unset", 4, 3, 3000),
        (f"{1:08x}{0:024x}", "run 0", "unset", 4, 3, 3000),
    ]
    assert [run["name"] for run in filled.json("runs", "--failed")] == ["run 2"]
    assert [run["name"] for run in filled.json("runs", "--limit", "1")] == ["run 2"]


def test_the_list_of_runs_in_a_pipe(filled: Any) -> None:
    lines = filled.run("runs")[0].splitlines()
    assert lines[0].split() == ["run", "status", "started", "name", "agents", "duration", "spans", "calls", "tokens", "cost", "error"]
    assert len(lines) == 4
    assert "2023-11-14 22:13:22" in lines[1]
    assert lines[1].endswith("3,000 → 30  $0.0078  rate limit …")


def test_show_in_a_pipe(filled: Any) -> None:
    lines = filled.run("show", "last")[0].splitlines()
    assert lines[0] == "run 2 failed after 1.00 ms, 1 span with an error"
    assert lines[2] == f"run {3:08x}{0:024x}"
    assert [line.split()[0] for line in lines[4:8]] == ["kind", "agent", "llm", "llm"]
    assert lines[8].startswith(r"llm          bad \x1b[31mname\x1b[0m")
    assert [line.strip() for line in lines[9:]] == ["rate limit", r"reached \x07"]
    assert ANSI not in "".join(lines)


def test_show_messages_and_one_span(filled: Any) -> None:
    assert "    hello 2 3" in filled.run("show", "last", "--messages")[0].splitlines()
    contents = filled.json("show", "last", "--messages")["contents"]
    assert {span: json.loads(values["gen_ai.input.messages"])[0]["parts"][0]["content"] for span, values in contents.items()} == {
        f"{3:08x}{number:08x}": f"hello 2 {number - 1}" for number in (2, 3, 4)
    }
    out = filled.run("show", "last", "--span", f"{3:08x}{4:08x}")[0]
    for text in (
        f"parent    {3:08x}{1:08x} agent run 2",
        "cost      $0.0026 computed",
        "reached \\x07",
        "gen_ai.request.model  gpt-4o",
        "hello 2 3",
    ):
        assert text in out
    span = filled.json("show", "last", "--span", f"{3:08x}{4:08x}")
    assert span["attributes"]["gen_ai.usage.input_tokens"] == 1000
    assert span["span"]["status_message"] == "rate limit\nreached \x07"


def test_ids_that_do_not_fit_or_fit_several(filled: Any) -> None:
    _, err = filled.run("show", "fff", code=1)
    assert err == "clew: no run has an id that starts with 'fff'; list them with: clew runs\n"
    _, err = filled.run("show", "000", code=1)
    assert err.startswith("clew: '000' fits several runs: ")
    _, err = filled.run("show", "last", "--span", "00", code=1)
    assert err.startswith("clew: 4 spans have an id that starts with '00'")
    _, err = filled.run("show", "last", "--span", "zz", code=1)
    assert "no span of run" in err


def test_search(filled: Any) -> None:
    assert [hit["status_message"] for hit in filled.json("search", "status:error")["hits"]] == ["rate limit\nreached \x07"]
    assert [hit["name"] for hit in filled.json("search", "kind:llm", "-status:error", "model:gpt-4*", "--limit", "2")["hits"]] == [
        "chat",
        "chat",
    ]
    lines = filled.run("search", "kind:agent")[0].splitlines()
    assert [line.split()[-5:-3] for line in lines[1:]] == [["run", str(number)] for number in (2, 1, 0)]
    assert "there are more" in filled.run("search", "kind:llm", "--limit", "2")[0]


def test_a_filter_that_is_not_understood_points_at_the_character(filled: Any) -> None:
    _, err = filled.run("search", "status:error", "cost:>", code=2)
    lines = err.splitlines()
    assert lines[0].startswith("clew: ")
    assert lines[1] == "  status:error cost:>"
    assert lines[2].strip() == "^"


def test_cost(filled: Any) -> None:
    lines = filled.run("cost")[0].splitlines()
    assert lines[1].split() == ["gpt-4o", "9", "9,000", "90", "$0.0234", "$0.0234"]
    assert lines[2].split()[0] == "total"
    for by in ("model", "agent", "run", "session", "day"):
        found = filled.json("cost", "--by", by)
        assert (found["by"], found["total"]["calls"], round(found["total"]["cost_usd"], 6)) == (by, 9, 0.0234)
    assert sorted(row["label"] for row in filled.json("cost", "--by", "run")["rows"]) == ["run 0", "run 1", "run 2"]


def test_sql(filled: Any) -> None:
    query = "SELECT kind, count() AS n, NULL AS nothing, [1, 2] AS list FROM spans GROUP BY kind ORDER BY kind"
    assert filled.run("sql", query)[0] == "kind   n  nothing  list\nagent  3  NULL     [1,2]\nllm    9  NULL     [1,2]\n"
    assert filled.rows(query) == [
        {"kind": "agent", "n": 3, "nothing": None, "list": [1, 2]},
        {"kind": "llm", "n": 9, "nothing": None, "list": [1, 2]},
    ]
    assert json.loads(filled.run("sql", "-", "--json", input=b"SELECT 1 AS one")[0]) == [{"one": 1}]


@pytest.mark.parametrize(
    "query",
    [
        "SELEC 1",
        "SELECT nothing FROM spans",
        "INSERT INTO segments VALUES ('x', 1, 1)",
        "DROP TABLE span_records",
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "SELECT * FROM url('http://127.0.0.1:9/', 'LineAsString')",
        "SELECT 1 INTO OUTFILE '/tmp/clew-must-not-exist'",
        "SET readonly = 0",
    ],
)
def test_sql_that_is_wrong_or_writes_is_refused_with_2(filled: Any, query: str) -> None:
    out, err = filled.run("sql", query, code=2)
    assert out == ""
    assert err.startswith("clew: ")
    assert "Traceback" not in err
    assert not Path("/tmp/clew-must-not-exist").exists()
    assert filled.rows("SELECT count() AS n FROM spans") == [{"n": 12}]


def test_a_closed_pipe_ends_quietly(filled: Any) -> None:
    process = filled.start("sql", "SELECT number, repeat('x', 100) FROM numbers(20000)")
    assert process.stdout.readline().startswith(b"number")
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 0
    process.stderr.close()


def test_a_full_disk_behind_the_output_is_told(filled: Any) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("not applicable: no /dev/full here")
    with open("/dev/full", "wb") as full, filled.start("runs", stdout=full) as process:
        assert process.stderr.read() == b"clew: No space left on device\n"
    assert process.returncode == 1


def test_a_terminal_gets_colour_unless_it_is_refused(filled: Any) -> None:
    seen = filled.on_terminal("show", "last")
    assert "\x1b[1;31merror\x1b[0m" in seen
    assert "\x1b[31mname" not in seen
    assert ANSI not in filled.on_terminal("show", "last", NO_COLOR="1")
    assert all(len(line) <= 60 for line in filled.on_terminal("runs", width=60, NO_COLOR="1").splitlines())


def test_an_import_on_a_terminal_ends_with_its_counts(filled: Any, tmp_path: Path, make_request: Requests) -> None:
    path = tmp_path / "again.jsonl"
    path.write_bytes(make_request(0, 4))
    assert f"{path}: 4 spans in 1 request (json)" in filled.on_terminal("import", str(path), width=200).splitlines()[-1]


def test_debug_shows_the_traceback(filled: Any) -> None:
    assert "Traceback" in filled.run("show", "fff", "--debug", code=1)[1]


def test_the_data_directory_may_be_given_before_and_after_the_command(filled: Any) -> None:
    elsewhere = {"CLEW_DATA_DIR": "/nowhere"}
    for arguments in (["--data-dir", filled.data_dir, "runs"], ["runs", "--data-dir", filled.data_dir]):
        assert len(filled.json(*arguments, env=elsewhere)) == 3


def test_without_the_server_extra_a_command_names_the_line_that_installs_it(clew: Any) -> None:
    code = (
        "import importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, package=None: None if name == 'chdb' else find(name, package)\n"
        "from clew.cli.main import main; main(['runs'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "clew: clew runs needs the package 'chdb', which is not installed; run: pip install 'clew[server]'\n"


def test_tail_follows_a_spool_while_others_read_and_a_sweep_takes_it(clew: Any, make_request: Requests, until: Until) -> None:
    spool = clew.data_dir / "spool"
    spool.mkdir(parents=True, mode=0o700)
    (spool / "20260101T000000-1-aaaaaaaa-0.jsonl").write_bytes(make_request(0, 2))
    with clew.start("tail", "--json") as tail:
        assert tail.stdout.readline() == make_request(0, 2)
        assert clew.rows("SELECT count() AS n FROM spans") == [{"n": 2}]
        assert list(spool.iterdir()) == []  # its process is gone, so the sweep deletes it
        (spool / "20260101T000001-2-bbbbbbbb-0.jsonl").write_bytes(make_request(1, 2))
        assert tail.stdout.readline() == make_request(1, 2)
        tail.send_signal(signal.SIGINT)
        assert tail.stdout.read() == b""
        assert tail.stderr.read() == b"clew: interrupted\n"
    assert tail.returncode == 130
    lines = clew.run("tail", "--no-follow")[0].splitlines()
    assert [line[14:] for line in lines] == [
        "test              agent        1.00 ms  run 1 · planner",
        "test              llm          1.00 ms  chat · gpt-4o · 1,000 → 10 tokens",
    ]
    assert clew.run("tail", "--no-follow", "-n", "1")[0].splitlines() == lines[-1:]


def test_a_full_disk_does_not_keep_anybody_from_reading(clew: Any, make_request: Requests) -> None:
    """No test can fill the disk; a limit on the size of files meets the same calls."""
    clew.run("import", "-", input=make_request(0, 2))
    spool = clew.data_dir / "spool"
    spool.mkdir(exist_ok=True)
    (spool / "20260101T000000-1-aaaaaaaa-0.jsonl").write_bytes(make_request(1, 40, text=os.urandom(20_000).hex()))
    limited = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (64_000, 64_000))}
    out, err = clew.run("sql", "SELECT count() AS n FROM spans", "--json", **limited)
    assert out == '[{"n":2}]\n'
    assert err.startswith("clew: warning: new records could not be taken in; this is what the store holds already: ")
    assert clew.rows("SELECT count() AS n FROM spans") == [{"n": 42}]


def test_real_runs_of_other_peoples_agents(clew: Any, shared_data: Callable[[str], Path]) -> None:
    clew.environment["CLEW_OWNER_LINGER_S"] = "60"
    files = [shared_data(f"trail/{name}.{signal_}.otlp.jsonl.xz") for name in ("gaia", "swe_bench") for signal_ in ("traces", "logs")]
    out, err = clew.run("import", *files)
    assert err == ""
    assert out.splitlines()[-1] == "4 files: 1,137 spans, 163 log records"
    total = clew.json("cost")["total"]
    assert (total["calls"], total["calls_with_usage"], total["input_tokens"], total["output_tokens"]) == (480, 477, 3_506_118, 402_372)
    assert total["cost_usd"] is None
    assert abs(total["partial_cost_usd"] - 9.1855368) < 1e-6
    for run in clew.json("runs", "--limit", "3"):
        assert run["name"] in clew.run("show", run["run_id"][:8])[0]
