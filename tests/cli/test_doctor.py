"""clew doctor says what is wrong and what to do."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from clew.cli import doctor
from clew.cli.terminal import Page
from clew.observe.ingest.account import Line
from clew.observe.ingest.collector import Stats
from clew.observe.query.health import Health, Loss, Size
from clew.observe.store.retention import Retention


def health(**fields: Any) -> Health:
    values: dict[str, Any] = {
        "version": "0.1.0",
        "engine": "ClickHouse 26.9 (chdb)",
        "data_dir": "/data",
        "schema": 1,
        "bytes": 5 << 20,
        "tables": [Size("payloads", 100, 4 << 20)],
        "unindexed": 0,
        "spool_files": 1,
        "spool_bytes": 2048,
        "spans": 40,
        "running": 0,
        "lost": 0,
        "conflicts": 0,
        "quarantined": 0,
        "losses": [Loss("p1", "demo", 10, 8, 2, {"queue": 0})],
        "model_calls": 4,
        "calls_with_usage": 4,
        "unpriced_calls": 0,
        "prices": "genai-prices 0.2.3 of 2026-11-01",
    }
    return Health(**values | fields)


def written(**fields: Any) -> list[str]:
    file = io.StringIO()
    doctor.write(Page(file), doctor.examine(health(**fields)))
    return file.getvalue().splitlines()


def test_all_is_well() -> None:
    assert written() == [
        "clew             0.1.0, ClickHouse 26.9 (chdb), schema 1",
        "store            40 spans, 5.0 MiB in all: payloads 100 (4.0 MiB)",
        "spool            1 file, 2.0 KiB",
        "recorded         emitted 10 = written 8 + sampled out 2 + dropped 0, by 1 process",
        "usage            4 of 4 model calls (100.0%) recorded their usage",
        "prices           genai-prices 0.2.3 of 2026-11-01",
        "",
        "All is well.",
    ]


def test_what_was_dropped_is_wrong_and_named_by_reason() -> None:
    lines = written(losses=[Loss("p1", "demo", 10, 5, 2, {"queue": 3}), Loss("p2", "demo", 5, 4, 0, {"disk": 1})])
    assert lines[3] == (
        "recorded  wrong  emitted 15 = written 9 + sampled out 2 + dropped 4 (disk 1, queue 3), by 2 processes; "
        "raise CLEW_QUEUE or CLEW_SPOOL_BYTES, make room on the disk, or record less; docs/settings.md"
    )
    assert lines[-1] == "1 thing is wrong"


def test_an_account_that_does_not_add_up_is_wrong() -> None:
    levels = {finding.text: finding.level for finding in doctor.examine(health(losses=[Loss("p1", "demo", 10, 5, 2, {})]))}
    assert levels["the account of demo (process p1) does not add up: 3 spans too few"] == "wrong"


def test_records_set_aside_are_wrong_and_doubts_are_notes() -> None:
    found = doctor.examine(health(quarantined=2, unindexed=5, running=1, lost=3, conflicts=1, calls_with_usage=3, unpriced_calls=1))
    assert {finding.subject: finding.level for finding in found if finding.level != "ok"} == {
        "set aside": "wrong",
        "running": "note",
        "lost": "note",
        "search": "note",
        "conflicts": "note",
        "usage": "note",
        "unpriced": "note",
    }
    assert all(finding.advice for finding in found if finding.level == "wrong")


def account(**changed: Any) -> Stats:
    lines = [Line("traces", "otlp:127.0.0.1", 10, 7, {"bad ids": 1}, 2)]
    given: dict[str, Any] = {
        "lines": lines,
        "received": 10,
        "stored": 7,
        "rejected": {"bad ids": 1},
        "cut": {},
        "waiting": 2,
        "gap": 0,
        "refused_requests": {},
        "log_bytes": 0,
        "log_limit_bytes": 0,
        "settled": True,
        "trouble": None,
        "removed": {},
        "retention": None,
    }
    return Stats(**given | changed)


def test_the_account_of_the_collector_is_told_and_a_gap_or_trouble_is_wrong() -> None:
    told = "received 10 = stored 7 + rejected 1 (bad ids 1) + waiting 2, from 1 sender"
    assert [(one.level, one.text) for one in doctor.received(account())] == [("note", told)]
    found = doctor.received(account(gap=3, trouble="No space left", refused_requests={"malformed": 2}))
    assert [one.level for one in found] == ["note", "note", "wrong", "wrong"]
    assert "2 requests answered with an error (malformed 2)" in found[1].text
    assert "3 records" in found[2].text
    assert "No space left" in found[3].text
    assert doctor.received(account(lines=[])) == []
    cut = doctor.received(account(cut={"attributes": 1200, "values": 1}))[1]
    assert (cut.level, cut.text) == ("note", "records were cut for their limits: attributes 1,200, values 1")


def test_each_sender_has_its_line_when_there_are_several() -> None:
    lines = [Line("logs", "a", 4, 4, {}, 0), Line("traces", "b", 6, 3, {"bad ids": 1}, 2)]
    assert [(one.level, one.text) for one in doctor.received(account(lines=lines))[1:]] == [
        ("ok", "logs of a: 4 = 4 + 0 + 0"),
        ("note", "traces of b: 6 = 3 + 1 + 2"),
    ]


def test_what_is_kept_and_what_went_is_told() -> None:
    state = Retention(30, 1, 0, 5 << 30, {"traces": "2026-10-01"}, 0)
    told = [one.text for one in doctor.kept(account(retention=state, removed={"traces": {"expired": 1200}}))]
    assert told[0].startswith(
        "traces 30 days, logs 1 day, metrics for ever, at most 5.0 GiB; oldest: traces 2026-10-01; nothing was looked through"
    )
    assert told[1] == "traces (expired 1,200)"


def test_the_log_is_told_of_and_is_a_note_when_it_fills_or_nobody_stores_it(tmp_path: Path) -> None:
    def log(log_bytes: int, *, served: bool = True) -> list[tuple[str, str]]:
        found = doctor.waiting(account(log_bytes=log_bytes, log_limit_bytes=1 << 30), tmp_path, served=served)
        return [(one.level, one.text) for one in found]

    assert log(0) == log(0, served=False) == []
    assert [level for level, _ in log(1 << 20)] == ["ok"]
    assert [level for level, _ in log(1 << 29 | 1)] == ["note"]
    (tmp_path / "wal").mkdir()
    (tmp_path / "wal" / "000000000001.wal").write_bytes(b"x" * 2048)
    assert log(0, served=False) == [("note", "2.0 KiB of an earlier server's log may wait")]


def test_damaged_files_a_misspelt_setting_and_a_disk_too_small_for_the_log_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert doctor._damaged(tmp_path) == []
    assert [one.level for one in doctor._disk(tmp_path)] == ["ok"]
    assert [one.level for one in doctor._disk(tmp_path, 1 << 60)] == ["note"]
    (tmp_path / "store" / "store" / "abc" / "abc-1" / "detached" / "broken-on-start_all_1_1_0").mkdir(parents=True)
    (tmp_path / "quarantine").mkdir()
    (tmp_path / "quarantine" / "000000000001.wal.damaged").touch()
    assert [one.level for one in doctor._damaged(tmp_path)] == ["wrong", "wrong"]
    monkeypatch.setenv("CLEW_RETENTION_TRACE_DAYS", "5")
    assert [(one.text, one.advice) for one in doctor._settings()] == [
        ("CLEW_RETENTION_TRACE_DAYS is no setting", "did you mean CLEW_RETENTION_TRACES_DAYS?")
    ]
