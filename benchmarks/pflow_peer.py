"""pflow (pflow-cli) as the peer: the same workflow of shell commands, each run from the command line, both with their record and trace on.

The newest release is installed into an environment of its own, so the figures say which one it was. A workflow of one node says what a run
costs by itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clew.cli import figures

NODES = 20


def measure(folder: Path, *, rounds: int) -> dict[str, Any]:
    """Seconds of a run of one node and of :data:`NODES`, by turns; the best of each."""
    environment = folder / "pflow-environment"
    print("installing pflow-cli into an environment of its own", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    install = [environment / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", "pflow-cli"]
    subprocess.run(install, check=True, stderr=subprocess.DEVNULL)
    variables = os.environ | {"HOME": str(folder), "CLEW_DATA_DIR": str(folder / "clew")}
    ours, theirs = Path(sys.executable).with_name("clew"), environment / "bin" / "pflow"
    programs: dict[str, tuple[Callable[[int], str], str, list[str]]] = {
        "clew run --trace": (_ours, "json", [str(ours), "run", "--trace"]),
        "clew run --no-record": (_ours, "json", [str(ours), "run", "--no-record"]),
        "pflow": (_theirs, "pflow.md", [str(theirs), "-p"]),
        "pflow --no-trace": (_theirs, "pflow.md", [str(theirs), "-p", "--no-trace"]),
    }
    times: dict[str, dict[int, list[float]]] = {name: {1: [], NODES: []} for name in programs}
    for _ in range(rounds):
        for name, (write, suffix, command) in programs.items():
            for nodes, found in times[name].items():
                file = folder / f"nodes-{nodes}.{suffix}"
                file.write_text(write(nodes))
                started = time.perf_counter()
                done = subprocess.run([*command, str(file)], env=variables, cwd=folder, capture_output=True, text=True, check=False)
                found.append(time.perf_counter() - started)
                if done.returncode or "end" not in done.stdout:
                    raise RuntimeError(f"{name} failed:\n{done.stdout}\n{done.stderr}")
    return {"pflow version": _version(environment), "nodes": NODES, **{name: _figures(found) for name, found in times.items()}}


def _figures(times: dict[int, list[float]]) -> dict[str, float]:
    return {f"seconds of {figures.plural(nodes, 'node')}": min(found) for nodes, found in times.items()}


def _ours(nodes: int) -> str:
    made = [{"id": f"n{number}", "type": "shell", "params": {"command": "echo end"}} for number in range(nodes)]
    edges = [{"from": f"n{number}", "to": f"n{number + 1}"} for number in range(nodes - 1)]
    return json.dumps({"name": f"{nodes} shells", "nodes": made, "edges": edges})


def _theirs(nodes: int) -> str:
    steps = [f"### n{number}\n\nSays end.\n\n- type: shell\n\n```shell command\necho end\n```\n" for number in range(nodes)]
    return "\n".join([f"# {nodes} shells\n\nRuns commands.\n\n## Steps\n", *steps])


def _version(environment: Path) -> str:
    command = [environment / "bin" / "python", "-c", "import importlib.metadata as m; print(m.version('pflow-cli'))"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
