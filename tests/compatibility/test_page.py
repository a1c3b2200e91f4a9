"""docs/compatibility.md says what comes out of real traces, answers and costs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.needs("chdb", "genai_prices", "yaml")


def test_the_page_is_what_comes_out_now(shared_data: Callable[[str], Path]) -> None:
    shared_data("provider_responses.tar.xz")
    command = [sys.executable, str(Path(__file__).parent), "--check", "--data", str(shared_data("framework_traces").parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
