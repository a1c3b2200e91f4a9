"""One process owns the store; the command line finds it, starts it, waits for it, names it, and survives its death."""

from __future__ import annotations

import fcntl
import gzip
import os
import signal
import socket
import stat
import subprocess
import sys
import termios
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clew.cli.client import Client
from clew.cli.operations import HEALTH, RUNS, Operation
from clew.errors import StoreBusy, StoreError, StoreUnavailable
from clew.observe.store.lock import Lock

pytestmark = pytest.mark.needs("chdb", "clickhouse_connect")

Requests = Callable[..., bytes]
Until = Callable[..., Any]


@pytest.fixture
def file(tmp_path: Path, make_request: Requests) -> Path:
    path = tmp_path / "three.jsonl"
    path.write_bytes(b"".join(make_request(trace, 4) for trace in range(3)))
    return path


def test_two_commands_at_once_on_a_new_directory_both_get_their_answer(clew: Any) -> None:
    both = [clew.start("runs", "--json") for _ in range(2)]
    assert [process.communicate(timeout=120) for process in both] == [(b"[]\n", b"")] * 2


def test_readers_share_an_owner_and_leave_none_behind(clew: Any, file: Path) -> None:
    clew.run("import", file)
    readers = [clew.start("sql", "--json", "SELECT count() AS n FROM spans") for _ in range(4)]
    assert [process.communicate(timeout=120) for process in readers] == [(b'[{"n":12}]\n', b"")] * 4


def test_an_owner_that_lingers_is_used_again_and_sigterm_ends_it_cleanly(clew: Any, until: Until) -> None:
    clew.environment["CLEW_OWNER_LINGER_S"] = "60"
    clew.run("runs")
    pid = clew.owner
    clew.run("runs")
    assert clew.owner == pid
    os.kill(pid, signal.SIGTERM)
    until(clew.is_free, "the owner to go")
    assert not (clew.data_dir / "owner.sock").exists()
    assert (clew.data_dir / "owner.log").read_text().splitlines()[-1].endswith("INFO closed")


def test_only_the_user_can_reach_the_owner_and_its_log(clew: Any) -> None:
    clew.environment["CLEW_OWNER_LINGER_S"] = "60"
    clew.run("runs")
    modes = {name: stat.S_IMODE((clew.data_dir / name).lstat().st_mode) for name in (".", "owner.sock", "owner.log", "store.lock")}
    assert modes == {".": 0o700, "owner.sock": 0o600, "owner.log": 0o600, "store.lock": 0o600}


def test_a_dead_owner_leaves_nothing_that_stands_in_the_way(clew: Any) -> None:
    clew.environment["CLEW_OWNER_LINGER_S"] = "60"
    clew.run("runs")
    clew.stop_owner(signal.SIGKILL)
    assert (clew.data_dir / "owner.sock").exists()
    assert clew.run("runs", "--json") == ("[]\n", "")


def test_a_path_too_long_for_a_socket_works(clew: Any) -> None:
    clew.data_dir = clew.data_dir / ("long" * 20) / ("longer" * 20)
    clew.environment["CLEW_OWNER_LINGER_S"] = "60"
    clew.run("runs")
    pid = clew.owner
    clew.run("runs", env={"TMPDIR": "/nowhere"})  # found without the directory for temporary files that it was made in
    assert clew.owner == pid
    link = clew.data_dir / "owner.sock"
    short = Path(os.readlink(link))
    assert stat.S_IMODE(short.parent.stat().st_mode) == 0o700
    clew.stop_owner(signal.SIGKILL)
    clew.run("runs")
    clew.stop_owner()
    assert not os.path.lexists(link)
    assert not short.exists()


def test_an_owner_of_another_version_is_asked_to_leave(clew: Any, until: Until) -> None:
    code = "import clew.cli.address as a, clew.cli.owner as o, os; os.umask(0o77); a.own_version = lambda: '0.0.1'; o.main()"
    with subprocess.Popen([sys.executable, "-c", code, str(clew.data_dir), "--linger-s", "60"]) as old:
        until(lambda: (clew.data_dir / "owner.sock").exists(), "the old owner")
        assert clew.run("runs", "--json") == ("[]\n", "")
        assert old.wait(60) == 0


def test_an_owner_with_other_prices_is_asked_to_leave(clew: Any) -> None:
    clew.environment["CLEW_OWNER_LINGER_S"] = "60"
    clew.run("runs")
    before = clew.owner
    (clew.data_dir / "prices.toml").write_text("")
    clew.run("runs")
    assert clew.owner != before


def test_whoever_holds_the_directory_is_waited_for_then_named(clew: Any) -> None:
    clew.data_dir.mkdir()
    lock = Lock.take(clew.data_dir / "store.lock")
    try:
        _, err = clew.run("runs", code=1, env={"CLEW_OWNER_WAIT_S": "0.3"})
        assert err.startswith("clew: ")
        assert f"process {os.getpid()}" in err
        assert str(clew.data_dir) in err
        assert len(err.splitlines()) == 1
        waiting = clew.start("runs", "--json", env={"CLEW_OWNER_WAIT_S": "60"})
    finally:
        lock.release()
    assert waiting.communicate(timeout=120) == (b"[]\n", b"")


def test_an_owner_that_hangs_is_named(clew: Any) -> None:
    clew.environment["CLEW_OWNER_LINGER_S"] = "60"
    clew.run("runs")
    pid = clew.owner
    os.kill(pid, signal.SIGSTOP)
    try:
        _, err = clew.run("runs", code=1, env={"CLEW_OWNER_WAIT_S": "0.3"})
    finally:
        os.kill(pid, signal.SIGCONT)
    assert err == f"clew: {clew.data_dir} is owned by process {pid}, a store's owner that does not answer; stop it, then run this again\n"


def test_the_owner_killed_during_an_import_then_the_import_again_is_exact(clew: Any, tmp_path: Path, make_request: Requests) -> None:
    path = tmp_path / "many.jsonl"
    with path.open("wb") as many:
        for trace in range(200):
            many.write(make_request(trace, 51, text="x" * 400))

    half, whole = os.pipe()

    def send_half_and_kill(pid: int) -> None:
        with os.fdopen(whole, "wb") as pipe:
            pipe.write(path.read_bytes()[: path.stat().st_size // 2])
            pipe.flush()
            os.kill(pid, signal.SIGKILL)

    with Client.connect(clew.data_dir) as client, os.fdopen(half, "rb") as file:
        pid = client.owner.pid
        sender = threading.Thread(target=send_half_and_kill, args=(pid,))
        sender.start()
        with pytest.raises(StoreUnavailable, match=rf"process {pid}\) ended while it worked.*running this again is safe; see .*owner\.log"):
            client.import_file(file, name="many.jsonl")
        sender.join()
    for _ in range(2):
        out, _err = clew.run("import", path)
        assert "10,200 spans in 200 requests (json)" in out
    counted = clew.rows("SELECT count() AS n, uniqExact(span_id) AS ids, uniqExact(trace_id) AS runs FROM spans")
    assert counted == [{"n": 10_200, "ids": 10_200, "runs": 200}]
    used = clew.rows("SELECT count() AS calls, sum(input_tokens) AS input, round(sum(cost_usd), 6) AS usd FROM model_calls")
    assert used == [{"calls": 10_000, "input": 10_000_000, "usd": 26.0}]


def test_a_pipe_and_compressed_stdin_are_imported(clew: Any, tmp_path: Path, file: Path) -> None:
    clew.environment["CLEW_OWNER_LINGER_S"] = "60"
    assert clew.run("import", "-", input=gzip.compress(file.read_bytes()))[0] == "stdin: 12 spans in 3 requests (json+gzip)\n"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(file.read_bytes()))
    writer.start()
    assert clew.run("import", pipe)[0] == f"{pipe}: 12 spans in 3 requests (json)\n"
    writer.join()
    assert clew.rows("SELECT count() AS n FROM spans") == [{"n": 12}]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_client_that_goes_during_an_import_takes_the_import_with_it(clew: Any, until: Until, number: int, make_request: Requests) -> None:
    process = clew.start("import", "-", stdin=subprocess.PIPE)
    assert process.stdin
    process.stdin.write(make_request(0, 2))
    process.stdin.flush()
    until(lambda: _unread(process.stdin) == 0, "the owner to read")
    process.send_signal(number)
    read, write = process.stdin, process.stdin.fileno()
    held = os.dup(write)  # the writer of the pipe lives on
    try:
        _, err = process.communicate(timeout=60)
        if number == signal.SIGINT:
            assert (process.returncode, err) == (130, b"clew: interrupted\n")
        until(clew.is_free, "the owner to go")
    finally:
        os.close(held)
        read.close()


def test_sigterm_ends_an_import_and_says_that_repeating_is_safe(clew: Any, until: Until, make_request: Requests) -> None:
    process = clew.start("import", "-", stdin=subprocess.PIPE)
    process.stdin.write(make_request(0, 2))
    process.stdin.flush()
    until(lambda: _unread(process.stdin) == 0, "the owner to read")
    os.kill(clew.owner, signal.SIGTERM)
    until(lambda: process.poll() is not None, "the import to end")
    _, err = process.communicate()
    assert process.returncode == 1
    assert b"again is safe" in err
    assert len(err.splitlines()) == 1


def _unread(pipe: Any) -> int:
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


def test_an_operation_that_is_not_in_the_table_is_refused(clew: Any) -> None:
    with Client.connect(clew.data_dir) as client, pytest.raises(StoreError, match=r"knows no operation 'os\.system'"):
        client.ask(Operation("os.system", lambda: None, Any), command="true")


def test_one_connection_answers_many_questions_and_survives_an_error(clew: Any) -> None:
    with Client.connect(clew.data_dir) as client:
        assert client.ask(RUNS) == []
        with pytest.raises(StoreError, match="TypeError"):
            client.ask(RUNS, no_such_argument=1)
        assert client.ask(HEALTH).spans == 0


def test_a_client_that_speaks_nonsense_harms_nobody(clew: Any) -> None:
    with Client.connect(clew.data_dir) as client:
        for nonsense in (b"\x00\x00\x00\x05hello", b"\x00\x00\x00\xffcut", b""):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as raw:
                raw.connect(str(clew.data_dir / "owner.sock"))
                raw.sendall(nonsense)
        assert client.ask(RUNS) == []


def test_a_data_directory_that_cannot_be_one_is_refused(clew: Any, tmp_path: Path) -> None:
    blocked = tmp_path / "a-file"
    blocked.write_text("")
    _, err = clew.run("runs", "--data-dir", blocked, code=1)
    assert err.startswith(f"clew: data directory {blocked} cannot be used")
    assert len(err.splitlines()) == 1


def test_a_data_directory_without_write_permission_is_refused(clew: Any) -> None:
    if os.geteuid() == 0:
        pytest.skip("not applicable: root may write anywhere")
    clew.data_dir.mkdir(mode=0o500)
    _, err = clew.run("runs", code=1)
    assert str(clew.data_dir) in err


def test_a_store_of_a_newer_version_is_refused_with_the_reason(clew: Any) -> None:
    clew.data_dir.mkdir()
    (clew.data_dir / "store.format").write_text('{"schema": 99, "written_by": "9.9.9"}')
    _, err = clew.run("runs", code=1)
    assert err.startswith("clew: ")
    assert "Clew 9.9.9" in err


def test_busy_is_the_error_that_python_callers_get(clew: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEW_OWNER_WAIT_S", "0")
    clew.data_dir.mkdir()
    lock = Lock.take(clew.data_dir / "store.lock")
    try:
        with pytest.raises(StoreBusy):
            Client.connect(clew.data_dir)
    finally:
        lock.release()
