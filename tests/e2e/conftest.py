"""The real command line on a data directory of its own, and records to feed it."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from clew.observe.store.lock import holder


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain for {what}"
        time.sleep(0.01)
    return value


@dataclass
class CommandLine:
    """``clew`` on one data directory; its owner is stopped at the end."""

    data_dir: Path
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, *arguments: str | Path, **more: Any) -> subprocess.Popen[bytes]:
        environment = os.environ | {"CLEW_DATA_DIR": str(self.data_dir)} | self.environment | more.pop("env", {})
        pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen([sys.executable, "-m", "clew.cli.main", *map(str, arguments)], env=environment, **pipes | more)

    def run(self, *arguments: str | Path, input: bytes | None = None, code: int = 0, **more: Any) -> tuple[str, str]:
        """stdout and stderr of a command that must end with ``code``."""
        if input is not None:
            more["stdin"] = subprocess.PIPE
        with self.start(*arguments, **more) as process:
            out, err = process.communicate(input, timeout=120)
        assert process.returncode == code, f"clew {arguments} ended with {process.returncode}\n{out.decode()}\n{err.decode()}"
        return out.decode(), err.decode()

    def json(self, *arguments: str | Path, **more: Any) -> Any:
        return json.loads(self.run(*arguments, "--json", **more)[0])

    def rows(self, query: str) -> Any:
        return self.json("sql", query)

    def on_terminal(self, *arguments: str, width: int = 100, **environment: str) -> str:
        """What a terminal of that width gets to see."""
        pid, terminal = pty.fork()
        if pid == 0:  # pragma: no cover
            os.environ.update(
                {"CLEW_DATA_DIR": str(self.data_dir), "COLUMNS": str(width), "TERM": "xterm-256color"} | self.environment | environment
            )
            os.execv(sys.executable, [sys.executable, "-m", "clew.cli.main", *arguments])
        seen = b""
        while select.select([terminal], [], [], 60)[0]:
            try:
                seen += (part := os.read(terminal, 65536))
            except OSError:  # how Linux says that the other end is closed
                break
            if not part:
                break
        os.close(terminal)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, seen.decode()
        return seen.decode().replace("\r\n", "\n")

    @property
    def owner(self) -> int | None:
        """Process id of the store's owner, when there is one."""
        found = holder(self.data_dir / "store.lock")
        return None if found is None or self.is_free() else int(found["pid"])

    def is_free(self) -> bool:
        """Whether nobody owns the data directory."""
        try:
            with (self.data_dir / "store.lock").open("rb+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, FileNotFoundError, NotADirectoryError) as error:
            return not isinstance(error, BlockingIOError)
        return True

    def stop_owner(self, number: int = signal.SIGTERM) -> None:
        if (pid := self.owner) is not None and pid != os.getpid():
            os.kill(pid, number)
        wait_for(self.is_free, "the owner to go")


@pytest.fixture
def clew(tmp_path: Path) -> Iterator[CommandLine]:
    command_line = CommandLine(tmp_path / "clew")
    yield command_line
    command_line.stop_owner()


@pytest.fixture(scope="session")
def command_line() -> type[CommandLine]:
    return CommandLine


def request(trace: int, spans: int, *, text: str = "hello", **fields: Any) -> bytes:
    """One ExportTraceServiceRequest in OTLP/JSON, on one line: a run of an agent and its model calls, with priced usage."""
    start = 1_700_000_000_000_000_000 + trace * 1_000_000_000
    made = []
    for number in range(spans):
        values: dict[str, Any] = (
            {"clew.span.kind": "agent", "gen_ai.agent.name": "planner"}
            if number == 0
            else {
                "clew.span.kind": "llm",
                "gen_ai.request.model": "gpt-4o",
                "gen_ai.provider.name": "openai",
                "gen_ai.usage.input_tokens": 1000,
                "gen_ai.usage.output_tokens": 10,
                "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": f"{text} {trace} {number}"}]}]),
            }
        )
        span = {
            "traceId": f"{trace + 1:08x}{0:024x}",
            "spanId": f"{trace + 1:08x}{number + 1:08x}",
            "parentSpanId": "" if number == 0 else f"{trace + 1:08x}{1:08x}",
            "name": f"run {trace}" if number == 0 else "chat",
            "kind": 1,
            "startTimeUnixNano": str(start + number),
            "endTimeUnixNano": str(start + number + 1_000_000),
            "attributes": [
                {"key": key, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}}
                for key, value in values.items()
            ],
            "status": {},
        }
        made.append(span | (fields if number == spans - 1 else {}))
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "test"}}]}
    return json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": made}]}]}).encode() + b"\n"


@pytest.fixture(scope="session")
def make_request() -> Callable[..., bytes]:
    return request


@pytest.fixture(scope="session")
def until() -> Callable[..., Any]:
    return wait_for
