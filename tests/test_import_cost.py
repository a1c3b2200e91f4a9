"""`import clew` loads nothing that a program did not ask for."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    *(
        "chdb",
        "clickhouse_connect",
        "pandas",
        "numpy",
        "starlette",
        "fastapi",
        "opentelemetry",
        "msgspec",
        "genai_prices",
        "openai",
        "rich",
    ),
    *("click", "pydantic", "httpx", "asyncio", "multiprocessing", "concurrent", "urllib.request", "http", "ssl", "ctypes", "unittest"),
}


def loaded_after(code: str) -> set[str]:
    """Modules that ``code`` loads in a fresh interpreter, without those that the interpreter starts with."""
    script = f"import sys; before = set(sys.modules)\n{code}\nimport json; print(json.dumps(sorted(set(sys.modules) - before)))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(result.stdout.splitlines()[-1]))


def test_import_clew_loads_no_heavy_module() -> None:
    loaded = loaded_after("import clew")
    assert not {name for name in loaded if name in HEAVY or name.split(".")[0] in HEAVY}


def test_import_clew_starts_nothing() -> None:
    code = "import clew, threading, signal\nprint(threading.active_count(), signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["1", "True"]


def test_recording_loads_opentelemetry_only_with_the_program(tmp_path: object) -> None:
    loaded = loaded_after(f"import clew\nclew.init(data_dir={str(tmp_path)!r})\nwith clew.tool('search'):\n    pass\nclew.flush()")
    assert not {name for name in loaded if name.split(".")[0] in {"opentelemetry", "chdb", "openai", "pandas"}}


def test_the_server_loads_no_plugin_of_pydantic() -> None:
    """Such as logfire's, which is there wherever pydantic-ai was installed whole."""
    pytest.importorskip("fastapi")
    pytest.importorskip("logfire")
    assert not {name for name in loaded_after("from clew.cli import serve; serve._load()") if name.split(".")[0] == "logfire"}
