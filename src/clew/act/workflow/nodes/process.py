"""Runs a program to its end: bounded output, a time limit that ends all of its processes, its place in the trace."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from clew import settings
from clew.act.workflow import running
from clew.record.propagation import traceparent

MOST_OUTPUT: Final = 1 << 20
"""Bytes that are kept of each output unless told otherwise, half from its start and half from its end."""
GRACE_S: Final = 2.0
"""What a program that is to end gets to do so, between SIGTERM and SIGKILL."""
DRAIN_S: Final = 1.0
"""How long outputs are read on after the program has ended: a process that it left behind may hold them open for ever."""
_CHUNK: Final = 1 << 16


class ProgramTimeout(TimeoutError):
    """A program that took longer than it may; it was ended, with the processes that it had started."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What a program left."""

    exit_code: int
    """Negative: the signal that ended it."""
    stdout: str
    stderr: str
    cut_bytes: int
    """Of both outputs, left out of their middles."""


def run(
    command: str | Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    timeout_s: float | None = None,
    most_output: int = MOST_OUTPUT,
) -> Finished:
    """Run ``command``: a text is for ``/bin/sh -c``, a list is a program and its arguments, without a shell.

    The environment is this process's, ``TRACEPARENT`` (so that an instrumented program's spans come under the current one), and ``env``.

    :raises ProgramTimeout: it took longer than ``timeout_s``
    :raises OSError: it cannot be started
    """
    parent = traceparent()
    process = subprocess.Popen(
        command,
        shell=isinstance(command, str),
        cwd=cwd,
        env=settings.child_environment({**({"TRACEPARENT": parent} if parent else {}), **(env or {})}),
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # a group of its own, to be ended as a whole
    )
    try:  # from here on: an interrupt may come at any moment
        assert process.stdout is not None
        assert process.stderr is not None
        outputs = (_Output(process.stdout, most_output), _Output(process.stderr, most_output))
        if process.stdin is not None:
            threading.Thread(target=_feed, args=(process.stdin, stdin or ""), name="clew stdin", daemon=True).start()
        with running.on_abandon(lambda: end(process)):
            exit_code = process.wait(timeout_s)
    except subprocess.TimeoutExpired as expired:
        end(process)
        raise ProgramTimeout(
            f"{shown(command)} took longer than {round(expired.timeout, 2):g} s and was ended; raise timeout_s, or make it faster"
        ) from None
    except BaseException:
        end(process)
        raise
    for output in outputs:
        output.thread.join(DRAIN_S)
    stdout, stderr = (output.text for output in outputs)
    return Finished(exit_code, stdout, stderr, sum(output.cut_bytes for output in outputs))


def end(process: subprocess.Popen[bytes]) -> None:
    """End the program and every process of its group."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def shown(command: str | Sequence[str]) -> str:
    """A command for a message: its first line, bounded."""
    text = command if isinstance(command, str) else " ".join(command)
    first, _, rest = text.strip().partition("\n")
    return f"{first[:120]} …" if rest or len(first) > 120 else first


def _feed(pipe: IO[bytes], text: str) -> None:
    with suppress(OSError), pipe:  # a program need not read its input
        pipe.write(text.encode())


class _Output:
    """An output, read in a thread of its own until its end; its middle is left out where it is too long."""

    def __init__(self, pipe: IO[bytes], most: int) -> None:
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._most_head = most - most // 2
        self._most_tail = most // 2
        self.cut_bytes = 0
        self._lock = threading.Lock()
        self.thread = threading.Thread(target=self._read, args=(pipe,), name="clew output", daemon=True)
        self.thread.start()

    def _read(self, pipe: IO[bytes]) -> None:
        with pipe:
            while data := os.read(pipe.fileno(), _CHUNK):
                with self._lock:
                    self._keep(data)

    def _keep(self, data: bytes) -> None:
        space = self._most_head - len(self._head)
        if space > 0:
            self._head += data[:space]
            data = data[space:]
        if data:
            self._tail.append(data)
            self._tail_bytes += len(data)
        while self._tail_bytes > self._most_tail:
            surplus = self._tail_bytes - self._most_tail
            first = self._tail.popleft()
            if len(first) > surplus:
                self._tail.appendleft(first[surplus:])
            dropped = min(len(first), surplus)
            self._tail_bytes -= dropped
            self.cut_bytes += dropped

    @property
    def text(self) -> str:
        """As UTF-8; bytes that are none are replaced."""
        with self._lock:
            head, tail, cut = bytes(self._head), b"".join(self._tail), self.cut_bytes
        if not cut:
            return (head + tail).decode("utf-8", "replace")
        return f"{head.decode('utf-8', 'replace')}\n… [cut: {cut} bytes] …\n{tail.decode('utf-8', 'replace')}"
