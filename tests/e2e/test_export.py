"""A run leaves one store as a file and enters another."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.needs("chdb", "clickhouse_connect", "zstandard")

TRACE = "0000000000000000000000000000000a"
REQUEST = {
    "resourceSpans": [
        {
            "scopeSpans": [
                {
                    "spans": [
                        {"traceId": TRACE, "spanId": "000000000000000b", "name": "plan", "startTimeUnixNano": "1", "endTimeUnixNano": "2"}
                    ]
                }
            ]
        }
    ]
}


def clew(*arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run([Path(sys.executable).with_name("clew"), *arguments], capture_output=True, check=False)
    assert done.returncode == code, done.stderr
    return done


def test_a_run_goes_from_one_store_to_another(data_dir: Path, tmp_path: Path) -> None:
    given, file, other = tmp_path / "given.jsonl", tmp_path / "run.clew", tmp_path / "other"
    given.write_text(json.dumps(REQUEST) + "\n")
    clew("import", given)
    assert clew("export", "last", "-o", file).stdout.decode().startswith(f"{file}: run {TRACE}, 1 span, 0 log records, ")
    assert file.stat().st_mode & 0o777 == 0o600
    assert clew("--data-dir", other, "import", file).stdout.decode() == f"{file}: 1 span in 1 request (bundle+zstd)\n"
    assert json.loads(clew("--data-dir", other, "runs", "--json").stdout)[0]["run_id"] == TRACE
    piped = clew("export", "last", "-o", "-").stdout
    (tmp_path / "piped").write_bytes(piped)
    assert b" 0 spans" in clew("--data-dir", other, "import", tmp_path / "piped").stdout


def test_what_cannot_be_exported_leaves_no_file(data_dir: Path, tmp_path: Path) -> None:
    assert b"no run" in clew("export", "abc", "-o", tmp_path / "x", code=1).stderr
    assert b"cannot be written" in clew("export", "last", "-o", tmp_path / "no" / "x", code=1).stderr
    assert [path.name for path in tmp_path.iterdir() if path != data_dir] == []
