"""What a folder holds while others write and delete in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clew.wire.sizes import sizes


def test_files_at_any_depth_count_by_what_they_hold(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "one.bin").write_bytes(b"12345")
    (tmp_path / "two.jsonl").write_bytes(b"12")
    (tmp_path / "link").symlink_to("nowhere")
    assert sizes(tmp_path) == {tmp_path / "a/b/one.bin": 5, tmp_path / "two.jsonl": 2, tmp_path / "link": len("nowhere")}
    assert sizes(tmp_path, ".jsonl") == {tmp_path / "two.jsonl": 2}
    assert sizes(tmp_path / "missing") == {}


def test_what_vanishes_meanwhile_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine merges parts away at any moment: a file after it was listed, or a whole folder."""
    for name in ("gone/file", "part/file", "kept/file"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"123")
    walk = os.walk

    def merging(folder: Path) -> Iterator[Any]:
        for listed in walk(folder):
            shutil.rmtree(tmp_path / ("part" if listed[0] == str(tmp_path) else "gone"), ignore_errors=True)
            yield listed

    monkeypatch.setattr(os, "walk", merging)
    assert sizes(tmp_path) == {tmp_path / "kept/file": 3}
