"""Files that are appended to past the system's cache: what was appended is there, byte for byte, also where no such way is."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clew.observe.ingest import blocks
from clew.observe.ingest.blocks import BLOCK, Appended, Reader

SIZES = st.lists(st.lists(st.sampled_from([0, 1, 10, 4095, 4096, 4097, 12_000, 70_000]), max_size=4), max_size=8)


@pytest.mark.parametrize("direct", [True, False])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(groups=SIZES, place=st.integers(0, 200_000), size=st.integers(0, 200_000))
def test_what_was_appended_is_read_from_any_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, direct: bool, groups: list[list[int]], place: int, size: int
) -> None:
    monkeypatch.setattr(blocks, "STAGED_BYTES", 4 * BLOCK)
    if not direct:
        monkeypatch.setattr(blocks, "_DIRECT", 0)
    path = tmp_path / "file"
    file, reader, whole = Appended(path), Reader(), b""
    for number, group in enumerate(groups):
        parts = [os.urandom(1)[:1] * one for one in group]
        file.append(parts)
        whole += b"".join(parts)
        assert file.size == len(whole)
        on_disk = path.read_bytes()
        assert on_disk[: len(whole)] == whole
        assert not on_disk[len(whole) :].strip(b"\0"), number
        assert len(on_disk) % BLOCK == 0
        assert bytes(reader.read(path, place, size))[: max(len(whole) - place, 0)] == whole[place : place + size]
    file.close()
    file.close()
    assert path.read_bytes() == whole
    assert bytes(reader.read(path, place, size)) == whole[place : place + size]


def test_a_file_system_that_says_late_that_it_knows_no_such_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As some network file systems do: they open the file, and refuse to write it."""
    real, refused = os.pwrite, []

    def pwrite(descriptor: int, data: bytes, place: int) -> int:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & blocks._DIRECT:
            refused.append(place)
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(descriptor, data, place)

    monkeypatch.setattr(os, "pwrite", pwrite)
    file = Appended(tmp_path / "file")
    knows_one = bool(fcntl.fcntl(file._descriptor, fcntl.F_GETFL) & blocks._DIRECT)  # not where the file system says so at once
    file.append([b"one"])
    file.append([b"two"])
    file.close()
    assert refused == ([0] if knows_one else [])
    assert (tmp_path / "file").read_bytes() == b"onetwo"


def test_what_could_not_be_written_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = Appended(tmp_path / "file")
    file.append([b"a" * 5000])
    with monkeypatch.context() as patch:

        def full(*_: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        patch.setattr(blocks, "_sync", full)
        patch.setattr(os, "ftruncate", lambda *_: None)
        with pytest.raises(OSError, match="No space left"):
            file.append([b"b" * 10_000])
    file = Appended(tmp_path / "file")
    file.append([b"a" * 5000])
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(OSError, match="No space left"):
            file.append([b"b" * 10_000])
    assert (tmp_path / "file").stat().st_size == 5000
    file.append([b"c"])
    file.close()
    assert (tmp_path / "file").read_bytes() == b"a" * 5000 + b"c"
