"""Files are read whole and written whole."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.act.nodes.conftest import Run


def test_a_file_is_read_as_text(run: Run, base: Path) -> None:
    (base / "a.txt").write_text("für\n", "utf-8")
    assert run("read_file", path="a.txt").results == {"content": "für\n", "data": None, "path": str(base / "a.txt"), "bytes": 5}


@pytest.mark.parametrize(
    ("parse", "text", "data"),
    [("json", '{"a": [1, null]}', {"a": [1, None]}), ("yaml", "a: [1, ~]\n", {"a": [1, None]}), ("lines", "one\ntwo\n", ["one", "two"])],
)
def test_a_file_is_read_as_data(run: Run, base: Path, parse: str, text: str, data: object) -> None:
    (base / "a").write_text(text)
    assert run("read_file", path="a", parse=parse).results["data"] == data


def test_another_encoding(run: Run, base: Path) -> None:
    (base / "a").write_bytes("für".encode("latin-1"))
    assert run("read_file", path="a", encoding="latin-1").results["content"] == "für"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"path": "gone"}, "{base}/gone cannot be read: No such file or directory"),
        ({"path": "."}, "{base} cannot be read: Is a directory"),
        ({"path": "bytes"}, "{base}/bytes is no text in utf-8: byte 1 is 0xff; name its encoding"),
        ({"path": "text", "encoding": "klingon"}, "there is no encoding 'klingon'; use one such as utf-8 or latin-1"),
        ({"path": "text", "max_bytes": 3}, "{base}/text has 9 bytes, more than max_bytes (3); raise max_bytes, or read a part of it in another way"),
        ({"path": "text", "parse": "json"}, "{base}/text is no JSON: Expecting value: line 1 column 1 (char 0)"),
        (
            {"path": "text", "parse": "yaml"},
            '{base}/text is no YAML: mapping values are not allowed here in "<unicode string>", line 1, column 5: a: b: c: d ^',
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named(run: Run, base: Path, params: dict[str, object], message: str) -> None:
    (base / "bytes").write_bytes(b"a\xff")
    (base / "text").write_text("a: b: c:d")
    if params.get("parse") == "yaml":
        (base / "text").write_text("a: b: c: d")
    assert run("read_file", **params).message == message.format(base=base)


def test_a_file_of_the_largest_size_is_read(run: Run, base: Path) -> None:
    (base / "a").write_text("123")
    assert run("read_file", path="a", max_bytes=3).results["content"] == "123"


def test_a_text_is_written_as_it_is_and_directories_are_made(run: Run, base: Path) -> None:
    done = run("write_file", path="a/b/c.txt", content="ä\n")
    assert done.results == {"path": str(base / "a/b/c.txt"), "bytes": 3}
    assert (base / "a/b/c.txt").read_bytes() == b"\xc3\xa4\n"


def test_another_value_is_written_as_json(run: Run, base: Path) -> None:
    run("write_file", path="a.json", content={"ü": [1, None]})
    assert (base / "a.json").read_text("utf-8") == '{\n  "ü": [\n    1,\n    null\n  ]\n}\n'
    assert json.loads((base / "a.json").read_text("utf-8")) == {"ü": [1, None]}


def test_a_file_is_replaced_and_keeps_its_permissions(run: Run, base: Path) -> None:
    (base / "a").write_text("a long text that was there before")
    (base / "a").chmod(0o640)
    run("write_file", path="a", content="new")
    assert (base / "a").read_text() == "new"
    assert (base / "a").stat().st_mode & 0o777 == 0o640


def test_permissions_may_be_given(run: Run, base: Path) -> None:
    run("write_file", path="a", content="", mode="0600")
    run("write_file", path="b", content="", mode="755", append=True)
    assert [(base / name).stat().st_mode & 0o777 for name in "ab"] == [0o600, 0o755]


def test_a_new_file_has_the_permissions_of_any_new_file(run: Run, base: Path) -> None:
    run("write_file", path="a", content="")
    (base / "b").touch()
    assert (base / "a").stat().st_mode == (base / "b").stat().st_mode


def test_text_may_be_added(run: Run, base: Path) -> None:
    for text in ("one\n", "two\n"):
        assert run("write_file", path="log/a", content=text, append=True).results["bytes"] == 4
    assert (base / "log/a").read_text() == "one\ntwo\n"


def test_a_symbolic_link_stays_one(run: Run, base: Path) -> None:
    (base / "real").write_text("old")
    (base / "link").symlink_to("real")
    run("write_file", path="link", content="new")
    assert (base / "link").is_symlink()
    assert (base / "real").read_text() == "new"


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(run: Run, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (base / "a").write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert run("write_file", path="a", content="new").message == f"{base}/a cannot be written: No space left on device"
    assert {path.name: path.read_text() for path in base.iterdir()} == {"a": "old"}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"path": "dir", "content": ""}, "{base}/dir cannot be written: it is a directory"),
        ({"path": "file/x", "content": ""}, "{base}/file/x cannot be written: File exists"),
        ({"path": "a", "content": "ä", "encoding": "ascii"}, "{base}/a cannot be written: 'ascii' codec can't encode character '\\xe4' in position 0: ordinal not in range(128)"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_named(run: Run, base: Path, params: dict[str, object], message: str) -> None:
    (base / "dir").mkdir()
    (base / "file").touch()
    assert run("write_file", **params).message == message.format(base=base)
