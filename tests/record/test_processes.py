"""Nothing that has ended is lost when a process exits, is terminated, forks or is killed; the parent is kept everywhere."""

from __future__ import annotations

import collections
import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

import clew
from clew.testing import RecordedSpan, decode, recording

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(data_dir: Path) -> Run:
    """Runs code in a fresh interpreter that records to the test's data directory."""

    def program(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "CLEW_DATA_DIR": str(data_dir), **variables}
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60)

    return program


def files(data_dir: Path) -> list[Path]:
    return sorted((data_dir / "spool").glob("*.jsonl"))


def spans(data_dir: Path) -> list[RecordedSpan]:
    """Ended spans of all files; each must be there once."""
    found = [span for file in files(data_dir) for line in file.read_bytes().splitlines() for span in decode(line) if span.end_ns]
    assert max(collections.Counter(span.span_id for span in found).values(), default=1) == 1
    return sorted(found, key=lambda span: span.start_ns)


def starts(data_dir: Path) -> list[str]:
    return [span.name for file in files(data_dir) for line in file.read_bytes().splitlines() for span in decode(line) if not span.end_ns]


def tree(data_dir: Path) -> dict[str, str | None]:
    """Name to the parent's name."""
    found = spans(data_dir)
    names = {span.span_id: span.name for span in found}
    return {span.name: names.get(span.parent_span_id or "", span.parent_span_id) for span in found}


ENDINGS = {
    "falls off the end": ("", 0),
    "sys.exit": ("sys.exit(3)", 3),
    "an unhandled exception": ("raise ValueError", 1),
    "SIGTERM": ("os.kill(os.getpid(), signal.SIGTERM); signal.pause()", -signal.SIGTERM),
}


@pytest.mark.parametrize(("ending", "code"), ENDINGS.values(), ids=ENDINGS.keys())
def test_every_ended_span_is_written_however_the_program_ends(run: Run, data_dir: Path, ending: str, code: int) -> None:
    result = run(
        f"""
import clew, os, signal, sys
clew.init(flush_s=1000)
open_span = clew.workflow("open").start()
for n in range(1000):
    with clew.tool(f"t{{n}}"): pass
{ending}
"""
    )
    assert result.returncode == code
    assert [span.name for span in spans(data_dir)] == [f"t{n}" for n in range(1000)]
    assert starts(data_dir) == ["open"]


def test_a_thread_that_still_runs_at_the_end_is_waited_for_as_python_does(run: Run, data_dir: Path) -> None:
    run(
        """
import clew, threading
clew.init(flush_s=1000)
main = threading.main_thread()
def work():
    main.join()
    with clew.tool("late"): pass
threading.Thread(target=work).start()
"""
    )
    assert [span.name for span in spans(data_dir)] == ["late"]


def test_a_span_that_ends_after_our_exit_handler_is_written(run: Run, data_dir: Path) -> None:
    run(
        """
import clew, atexit
@atexit.register
def last():
    with clew.tool("last"): pass
with clew.tool("first"): pass
"""
    )
    assert [span.name for span in spans(data_dir)] == ["first", "last"]


def test_sigterm_calls_the_programs_own_handler_too(run: Run, data_dir: Path) -> None:
    result = run(
        """
import clew, os, signal, sys
signal.signal(signal.SIGTERM, lambda number, frame: (print("mine", flush=True), os._exit(7)))
clew.init(flush_s=1000)
with clew.tool("t"): pass
os.kill(os.getpid(), signal.SIGTERM)
"""
    )
    assert (result.stdout, result.returncode) == ("mine\n", 7)
    assert [span.name for span in spans(data_dir)] == ["t"]


def test_an_ignored_sigterm_stays_ignored_and_other_threads_set_no_handler(run: Run) -> None:
    result = run(
        """
import clew, signal, threading
signal.signal(signal.SIGTERM, signal.SIG_IGN)
clew.init()
print(signal.getsignal(signal.SIGTERM) is signal.SIG_IGN)
"""
    )
    assert result.stdout == "True\n"
    code = "import clew, signal, threading\nt = threading.Thread(target=clew.init); t.start(); t.join()\n"
    assert run(code + "print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)").stdout == "True\n"


def test_a_fork_writes_to_a_file_of_its_own_and_loses_and_repeats_nothing(run: Run, data_dir: Path) -> None:
    result = run(
        """
import clew, os, sys
clew.init(flush_s=1000)
with clew.workflow("root"):
    with clew.tool("before"): pass
    for n in range(3):
        pid = os.fork()
        if pid == 0:
            with clew.tool(f"child {n}"): pass
            if n == 0: os._exit(0)      # runs no exit handler
            sys.exit(0)                 # leaves the parent's with, too
        os.waitpid(pid, 0)
    with clew.tool("after"): pass
"""
    )
    assert result.returncode == 0, result.stderr
    assert tree(data_dir) == {"root": None, "before": "root", "child 0": "root", "child 1": "root", "child 2": "root", "after": "root"}
    instances = collections.defaultdict(set)
    for file in files(data_dir):
        for line in file.read_text().splitlines():
            attributes = json.loads(line)[next(iter(json.loads(line)))][0]["resource"]["attributes"]
            instances[file].add(next(pair["value"]["stringValue"] for pair in attributes if pair["key"] == "service.instance.id"))
    assert len(instances) == 4
    assert all(len(found) == 1 for found in instances.values())
    assert len(set.union(*instances.values())) == 4


def test_a_fork_of_an_untouched_recorder_records(run: Run, data_dir: Path) -> None:
    run(
        """
import clew, os
clew.init()
pid = os.fork()
if pid == 0:
    with clew.tool("child"): pass
    os._exit(0)
os.waitpid(pid, 0)
"""
    )
    assert tree(data_dir) == {"child": None}


POOL = """
import clew, multiprocessing, sys
def work(n):
    with clew.tool(f"t{n}"):
        return n
if __name__ == "__main__":
    from concurrent.futures import ProcessPoolExecutor
    with clew.workflow("root"):
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(METHOD)) as pool:
            assert list(pool.map(work, range(4))) == [0, 1, 2, 3]
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_process_pool_keeps_the_parent_of_each_task(run: Run, data_dir: Path, tmp_path: Path, method: str) -> None:
    script = tmp_path / "pool.py"
    script.write_text(POOL.replace("METHOD", repr(method)))
    result = run(f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')") if method == "fork" else None
    if result is None:
        environment = {**os.environ, "CLEW_DATA_DIR": str(data_dir)}
        result = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=environment, timeout=60)
    assert result.returncode == 0, result.stderr
    assert tree(data_dir) == {"root": None, **{f"t{n}": "root" for n in range(4)}}


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_multiprocessing_process_writes_what_it_recorded(data_dir: Path, tmp_path: Path, method: str) -> None:
    script = tmp_path / "process.py"
    script.write_text(
        f"""
import clew, multiprocessing
def work(parent):
    with clew.attached(parent), clew.tool("child"): pass
if __name__ == "__main__":
    with clew.workflow("root"):
        process = multiprocessing.get_context({method!r}).Process(target=work, args=(clew.traceparent(),))
        process.start(); process.join()
"""
    )
    environment = {**os.environ, "CLEW_DATA_DIR": str(data_dir)}
    result = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=environment, timeout=60)
    assert result.returncode == 0, result.stderr
    assert tree(data_dir) == {"root": None, "child": "root"}


def test_a_subprocess_takes_its_parent_from_the_environment(run: Run, data_dir: Path) -> None:
    result = run(
        """
import clew, os, subprocess, sys
child = "import clew\\nwith clew.tool('child'): pass"
with clew.workflow("root"):
    subprocess.run([sys.executable, "-c", child], env={**os.environ, "TRACEPARENT": clew.traceparent()}, check=True)
"""
    )
    assert result.returncode == 0, result.stderr
    assert tree(data_dir) == {"root": None, "child": "root"}


def test_an_unsampled_parent_in_the_environment_is_not_recorded(run: Run, data_dir: Path) -> None:
    code = "import clew\nwith clew.tool('t'): print(clew.traceparent()[-2:])"
    assert run(code, TRACEPARENT="00-" + "a" * 32 + "-" + "b" * 16 + "-00").stdout == "00\n"
    assert spans(data_dir) == []


def test_threads_and_pools_keep_the_parent_and_only_that() -> None:
    def work(name: str) -> None:
        with clew.tool(name):
            pass

    with recording() as record:
        with ThreadPoolExecutor(1) as pool:
            with clew.agent("a"):
                pool.submit(work, "in a").result()
                thread = threading.Thread(target=work, args=("thread",))
                thread.start()
                thread.join()
            with clew.agent("b"):
                list(pool.map(work, ["in b"]))
            pool.submit(work, "in none").result()
        carried = clew.propagate(work)
        with clew.agent("c"):
            carried("in none, too")
            inside = clew.propagate(work)
        inside("in c")
    tree = [
        "agent a",
        "  tool in a",
        "  tool thread",
        "agent b",
        "  tool in b",
        "tool in none",
        "agent c",
        "  tool in c",
        "tool in none, too",
    ]
    assert record.tree() == tree


def test_propagation_can_be_turned_off(run: Run) -> None:
    code = "import threading\nbefore = threading.Thread.start\nimport clew\nclew.init()\nprint(threading.Thread.start is before)"
    assert run(code).stdout == "False\n"
    assert run(code, CLEW_PROPAGATE="0").stdout == "True\n"


KILLED = """
import clew, sys, threading
clew.init(flush_s=0.005)
def work(name):
    n = 0
    with clew.workflow(f"{name} never ends"):
        while True:
            for _ in range(20):
                with clew.tool(f"{name} {n}", note="x" * (n % 300)): pass
                n += 1
            assert clew.flush()
            sys.stdout.write(f"{name} {n}\\n"); sys.stdout.flush()
threading.Thread(target=work, args=("a",), daemon=True).start()
work("b")
"""
KILLS = int(os.environ.get("RECORDER_KILLS", "10"))


@pytest.mark.parametrize("seed", range(KILLS))
def test_kill_9_loses_nothing_that_was_flushed(data_dir: Path, seed: int) -> None:
    environment = {**os.environ, "CLEW_DATA_DIR": str(data_dir)}
    with subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        flushed: dict[str, int] = {}
        moments = random.Random(seed).randint(2, 60)
        for _ in range(moments):
            name, count = process.stdout.readline().split()
            flushed[name] = int(count)
        process.kill()
        for line in process.stdout.read().splitlines():
            name, count = line.split()
            flushed[name] = int(count)
    found: collections.Counter[str] = collections.Counter()
    started: set[str] = set()
    for file in files(data_dir):
        *whole, torn = file.read_bytes().split(b"\n")
        assert torn == b"" or file == files(data_dir)[-1]
        for row in whole:  # every complete line is valid
            for span in decode(row):
                if span.end_ns:
                    found[span.name] += 1
                else:
                    started.add(span.name)
    assert {f"{name} {n}" for name, count in flushed.items() for n in range(count)} <= found.keys()
    assert set(found.values()) == {1}
    assert {f"{name} never ends" for name in flushed} <= started


def test_a_process_pool_in_this_process() -> None:
    with recording() as record, clew.workflow("w"), ProcessPoolExecutor(1) as pool:
        assert pool.submit(os.path.basename, "/a/b").result() == "b"
    assert record.tree() == ["workflow w"]
