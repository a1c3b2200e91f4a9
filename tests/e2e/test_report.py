"""``clew report``, run as a user runs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.needs("chdb", "clickhouse_connect", "lark")


def test_a_report_is_written_to_stdout_or_to_a_file_for_the_user_alone(
    clew: Any, tmp_path: Path, make_request: Callable[..., bytes]
) -> None:
    clew.environment["CLEW_OWNER_LINGER_S"] = "60"
    clew.run("import", "-", input=make_request(0, 4, name="bad", status={"code": 2, "message": "rate limit reached"}))
    out, err = clew.run("report", "last")
    assert err == ""
    assert out.startswith("# `run 0`: ended after 1.00 ms, with errors\n")
    assert "### 1. llm `bad`\n" in out
    assert "```text\nrate limit reached\n```" in out
    assert "What it was given:\n```text\nhello 0 3\n```" in out
    assert "| `gpt-4o` | `0000000100000002` | 3 | **1** | 3.00 ms | 1.00 ms | 3,000 → 30 | $0.0078 |" in out

    file = tmp_path / "report.md"
    assert clew.run("report", "00000001", "-o", file) == ("", "")
    assert file.read_text() == out
    assert file.stat().st_mode & 0o777 == 0o600
    assert clew.run("report", "last", "-o", tmp_path / "none" / "x.md", code=1)[1] == (
        f"clew: {tmp_path / 'none' / 'x.md'} cannot be written: No such file or directory; name another file with --output\n"
    )
    assert "no run has an id that starts with 'ffff'" in clew.run("report", "ffff", code=1)[1]
