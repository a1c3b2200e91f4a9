"""Checks for gates: that a command ends well, that tests passed, that enough is covered, that a function says so.

Each function gives a check, to be made by ``clew.gate(NAME).check(...)``; a check never raises for what it looks at.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

from clew import settings
from clew.record.instruments.gates.finding import Finding, finding
from clew.record.propagation import traceparent

__all__ = ["Finding", "command", "coverage", "judged", "junit"]

Check = Callable[[], Finding]

OUTPUT: Final = 8_000
"""Characters of a command's output, its end, that are kept as evidence."""
NAMED: Final = 20
"""Failed tests that are named."""
MOST_BYTES: Final = 256 << 20
"""Largest report that is read."""


def command(command: str | Sequence[str], *, cwd: str | Path | None = None, timeout_s: float = 600.0) -> Check:
    """Passed when the command ends with exit code 0: tests, a linter, a type checker, a build.

    :param command: a program and its arguments, without a shell; a text is for ``/bin/sh -c``
    :param timeout_s: then it is ended, with the processes that it started, and the result is ``error``
    """

    def check() -> Finding:
        shown = command if isinstance(command, str) else shlex.join(map(str, command))
        parent = traceparent()
        try:
            process = subprocess.Popen(
                command,
                shell=isinstance(command, str),
                cwd=cwd,
                env=settings.child_environment({"TRACEPARENT": parent} if parent else {}),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            return Finding("error", f"{shown} cannot be started: {error.strerror}", check="command")
        try:
            written, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            return Finding("error", f"{shown} took longer than {timeout_s:g} s and was ended", check="command")
        finally:
            with suppress(OSError):  # whatever it left behind
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        output = written.decode(errors="replace")[-OUTPUT:]
        evidence = {"command": shown, "exit_code": process.returncode, "output": output}
        if process.returncode == 0:
            return Finding("passed", evidence=evidence, check="command")
        last = next((line.strip() for line in reversed(output.splitlines()) if line.strip()), "")
        reason = f"{shown} ended with {process.returncode}{f': {last[:300]}' if last else ''}"
        return Finding("failed", reason, evidence=evidence, check="command")

    return check


def junit(path: str | Path) -> Check:
    """Passed when a JUnit XML report (``pytest --junitxml=...``) tells of tests, and of none that failed. The score is the share that passed, in percent."""

    def check() -> Finding:
        try:
            root = ElementTree.fromstring(_read(Path(path)))
        except (OSError, ValueError, ElementTree.ParseError) as error:
            return Finding("error", f"{path} cannot be read: {_said(error)}; write it with pytest --junitxml={path}", check="junit")
        cases = list(root.iter("testcase"))
        bad = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
        skipped = sum(case.find("skipped") is not None for case in cases)
        ran = len(cases) - skipped
        names = [f"{case.get('classname', '')}::{case.get('name', '')}".removeprefix("::") for case in bad]
        evidence = {"tests": len(cases), "failed": len(bad), "skipped": skipped, "failed_tests": names[:NAMED]}
        if not ran:
            return Finding("failed", f"no test ran ({skipped} skipped)" if skipped else "no test ran", evidence=evidence, check="junit")
        score = round(100 * (ran - len(bad)) / ran, 2)
        if bad:
            return Finding("failed", f"{len(bad)} of {ran} tests failed: {', '.join(names[:3])}", score, evidence=evidence, check="junit")
        return Finding("passed", f"{ran} tests passed", score, evidence=evidence, check="junit")

    return check


def coverage(path: str | Path, *, at_least: float) -> Check:
    """Passed when a coverage report covers ``at_least`` percent of lines: Cobertura XML (``coverage xml``) or coverage.py's JSON (``coverage json``)."""

    def check() -> Finding:
        try:
            score = _covered(_read(Path(path)))
        except (OSError, ValueError, KeyError, TypeError, ElementTree.ParseError) as error:
            reason = f"{path} cannot be read as a coverage report: {_said(error)}; write it with coverage xml or coverage json"
            return Finding("error", reason, threshold=at_least, check="coverage")
        passed = score >= at_least
        reason = f"{score:.1f} % of lines are covered, {'at least' if passed else 'below'} {at_least:g} %"
        return Finding("passed" if passed else "failed", reason, round(score, 4), at_least, {"report": str(path)}, "coverage")

    return check


def judged(function: Callable[..., Any], *arguments: Any, at_least: float | None = None) -> Check:
    """Passed when the function says so: True, a score of ``at_least`` so much, or a mapping with ``passed``, ``reason`` and ``score``."""

    def check() -> Finding:
        return finding(function(*arguments), at_least)

    return check


def _read(path: Path) -> bytes:
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"it is larger than {MOST_BYTES >> 20} MiB")
    return path.read_bytes()


def _covered(data: bytes) -> float:
    if data.lstrip()[:1] == b"{":
        return float(json.loads(data)["totals"]["percent_covered"])
    root = ElementTree.fromstring(data)
    rate = root.get("line-rate")
    if root.tag != "coverage" or rate is None:
        raise ValueError(f"its root is <{root.tag}> without line-rate")
    return 100 * float(rate)


def _said(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return f"it has no {error}" if isinstance(error, KeyError) else str(error)
