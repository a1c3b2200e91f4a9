"""Small files that are there whole, or as they were before."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clew.wire.whole import write_whole


def test_a_file_is_made_and_replaced_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    for data in (b"one", b"two, and longer", b""):
        write_whole(path, data)
        assert path.read_bytes() == data
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["keys.json"]


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "keys.json"
    write_whole(path, b"as it was")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"as it was"
    assert [file.name for file in tmp_path.iterdir()] == ["keys.json"]
