"""The example of a dispatch loop, run as a user runs it, and what the store has of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("chdb")

ROOT = Path(__file__).parents[2]


def run(*command: str | Path) -> str:
    done = subprocess.run([*map(str, command)], cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_file_is_a_task_of_three_phases_and_one_that_does_not_compile_fails(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "sound.py").write_text("def one(): ...\ndef two(): ...\n")
    (files / "broken.py").write_text("def one(:\n")
    data = tmp_path / "data"
    said = run(sys.executable, ROOT / "examples" / "orchestrator" / "main.py", files, "--data-dir", data)
    assert said.startswith("2 files, 2 functions, 1 that do not compile; ")
    query = "SELECT name, attributes['clew.task.phase'], status FROM spans WHERE kind = 'task' ORDER BY start_ns"
    found = json.loads(run(Path(sys.executable).with_name("clew"), "--data-dir", data, "sql", "--json", query))
    ended = sorted(tuple(row.values()) for row in found)
    assert ended == [
        ("broken.py", "build", "error"),
        ("broken.py", "plan", "ok"),
        ("sound.py", "build", "ok"),
        ("sound.py", "plan", "ok"),
        ("sound.py", "test", "ok"),
    ]
