"""The ledger: shared by processes, true to its windows, and never in the way."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.cost.budgets import figures
from clew.cost.budgets.budget import Budget, budget
from clew.cost.budgets.ledger import Charge, Claim, Ledger, LedgerError, Reader
from clew.cost.budgets.windows import Window
from clew.errors import BudgetError


class Now:
    def __init__(self, text: str = "2026-03-10T12:00:00") -> None:
        self.at = datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()

    def __call__(self) -> float:
        return self.at


def declared(**given: object) -> Budget:
    return budget({"name": "b", **given}, "test")


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def ledger(tmp_path: Path, now: Now) -> Ledger:
    return Ledger(tmp_path / "budgets.sqlite", now=now)


def spend(ledger: Ledger, held: Budget, calls: float = 1, key: str = "") -> list[float]:
    return [crossing.threshold for crossing in ledger.settle(None, [Charge(held, key, {"calls": calls})])]


def left(ledger: Ledger, held: Budget, key: str = "") -> float:
    return figures.state(ledger.account(held, key), ledger.now()).remaining["calls"]


@pytest.mark.parametrize(
    ("window", "at", "start", "end"),
    [
        ("hour", "2026-03-10T12:34:56", "2026-03-10T12:00:00", "2026-03-10T13:00:00"),
        ("day", "2026-03-10T12:34:56", "2026-03-10T00:00:00", "2026-03-11T00:00:00"),
        ("week", "2026-03-10T12:34:56", "2026-03-09T00:00:00", "2026-03-16T00:00:00"),
        ("week", "2026-03-09T00:00:00", "2026-03-09T00:00:00", "2026-03-16T00:00:00"),
        ("month", "2026-02-28T23:59:59", "2026-02-01T00:00:00", "2026-03-01T00:00:00"),
        ("month", "2026-12-31T12:00:00", "2026-12-01T00:00:00", "2027-01-01T00:00:00"),
    ],
)
def test_calendar_periods_are_those_of_utc(window: str, at: str, start: str, end: str) -> None:
    assert Window.read(window).period(Now(at)()) == (Now(start)(), Now(end)())


@pytest.mark.parametrize("window", ["hour", "day", "week", "month"])
def test_a_calendar_window_is_renewed_at_its_end(ledger: Ledger, now: Now, window: str) -> None:
    held = declared(calls=10, window=window)
    spend(ledger, held, 8)
    now.at = Window.read(window).period(now.at)[1] - 1
    assert left(ledger, held) == 2
    now.at += 1
    assert left(ledger, held) == 10


@given(st.integers(0, 200_000), st.integers(0, 200_000))
def test_a_rolling_window_looks_back_its_length_and_at_most_a_sixtieth_more(began: int, later: int) -> None:
    clock = Now()
    ledger = Ledger(None, now=clock)
    held = declared(calls=10, window="24h")
    clock.at += began
    spend(ledger, held)
    clock.at += later
    if later <= 86_400:
        assert left(ledger, held) == 9
    elif later > 86_400 + 86_400 / 60:
        assert left(ledger, held) == 10


def test_a_threshold_is_told_once_in_each_period(ledger: Ledger, now: Now) -> None:
    held = declared(calls=10, window="day")
    assert [spend(ledger, held, 4), spend(ledger, held, 4), spend(ledger, held, 1), spend(ledger, held, 1), spend(ledger, held)] == [
        [],
        [80.0],
        [],
        [95.0, 100.0],
        [],
    ]
    now.at += 86_400
    assert spend(ledger, held, 8) == [80.0]


def test_a_threshold_of_a_rolling_window_is_told_again_after_the_figure_fell(ledger: Ledger, now: Now) -> None:
    held = declared(calls=10, window="1h")
    assert spend(ledger, held, 8) == [80.0]
    now.at += 7200
    assert spend(ledger, held, 1) == []
    assert spend(ledger, held, 7) == [80.0]


def test_reset_forgets_one_account_or_all(ledger: Ledger) -> None:
    held = declared(calls=10, per="agent")
    for key in ("a", "b", "c"):
        spend(ledger, held, 9, key)
    assert ledger.reset("b", "a") == 1
    assert (left(ledger, held, "a"), left(ledger, held, "b")) == (10, 1)
    assert ledger.reset("b") == 2
    assert spend(ledger, held, 8, "b") == [80.0]  # what was told is forgotten too


def test_a_call_reserves_in_every_budget_or_in_none(ledger: Ledger) -> None:
    wide, narrow = declared(name="wide", calls=10), declared(name="narrow", calls=0)
    refusal = ledger.reserve(1, [Claim(wide, "", {"calls": 1}), Claim(narrow, "", {"calls": 1})])
    assert refusal is not None
    assert refusal.budget.name == "narrow"
    assert left(ledger, wide) == 10


def test_the_projection_follows_the_rate_so_far(ledger: Ledger, now: Now) -> None:
    held = declared(calls=10, window="day")
    spend(ledger, held, 4)  # in half a day
    state = figures.state(ledger.account(held, ""), now.at)
    assert (state.projected, state.exhausted_at) == ({"calls": 8.0}, None)
    spend(ledger, held, 4)
    state = figures.state(ledger.account(held, ""), now.at)
    assert state.projected == {"calls": 16.0}
    assert state.exhausted_at == now.at + 3 * 3600


def test_accounts_of_runs_that_are_long_over_go(ledger: Ledger, now: Now, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clew.cost.budgets.ledger.PRUNED_EVERY", 1)
    runs, always = declared(name="runs", calls=10, per="run"), declared(name="always", calls=10)
    spend(ledger, runs, key="r1")
    spend(ledger, always)
    now.at += 31 * 86_400
    spend(ledger, runs, key="r2")
    assert [account.key for account in ledger.accounts(runs)] == ["r2"]
    assert left(ledger, always) == 9


def test_the_file_is_the_owners_alone(ledger: Ledger) -> None:
    spend(ledger, declared(calls=1))
    assert ledger.path is not None
    assert ledger.path.stat().st_mode & 0o777 == 0o600


def damaged(file: Path) -> None:
    file.write_bytes(b"not a database" * 1000)


def newer(file: Path) -> None:
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA user_version = 99")
    connection.close()


def a_directory(file: Path) -> None:
    file.mkdir()


@pytest.mark.parametrize(("make", "said"), [(damaged, "is damaged"), (newer, "newer Clew"), (a_directory, "cannot be used")])
def test_a_ledger_that_cannot_be_used_says_which_and_why(tmp_path: Path, make: Callable[[Path], None], said: str) -> None:
    file = tmp_path / "budgets.sqlite"
    make(file)
    with pytest.raises(LedgerError, match=said) as refused:
        spend(Ledger(file), declared(calls=1))
    assert str(file) in str(refused.value)


def test_a_reader_changes_and_makes_nothing(ledger: Ledger, tmp_path: Path) -> None:
    held = declared(calls=10)
    spend(ledger, held, 3)
    assert ledger.path is not None
    reader = Reader(ledger.path, now=ledger.now)
    assert left(reader, held) == 7
    assert reader.budgets() == [held]
    with pytest.raises(BudgetError):
        spend(reader, held)
    with pytest.raises(BudgetError):
        left(Reader(tmp_path / "none.sqlite"), held)
    assert not (tmp_path / "none.sqlite").exists()


# -- many processes ---------------------------------------------------------------------------------------------------------------

RACER = """
import sys, clew
clew.init(data_dir=sys.argv[1], spool=False)
clew.budget("race", tokens=20_000, per="session").apply()
print("ready", flush=True)
sys.stdin.readline()
made = 0
try:
    while True:
        with clew.llm("chat", session="one", max_tokens=90, messages="hi") as span:
            span.usage(input_tokens=20, output_tokens=100)  # ten more than it was allowed
            made += 1
except clew.BudgetExceeded:
    print(made, flush=True)
"""
RESERVED = 90 + 20
"""What a call of the race reserves, at least; it uses 120."""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_sixteen_processes_never_overspend_by_more_than_what_their_reservations_missed(tmp_path: Path) -> None:
    """The bound of docs/budgets.md: the limit, and for each call under way what it used beyond its reservation."""
    racers = [start(RACER, tmp_path) for _ in range(16)]
    try:
        assert [line(racer) for racer in racers] == ["ready"] * 16
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("go\n")
            racer.stdin.flush()
        made = [int(line(racer)) for racer in racers]
    finally:
        for racer in racers:
            end(racer)
    held = declared(name="race", tokens=20_000, per="session")
    account = Ledger(tmp_path / "budgets.sqlite").account(held, "one")
    assert account.spent["tokens"] == sum(made) * 120  # no call is lost, none is booked twice
    assert account.spent["tokens"] <= 20_000 + 16 * (120 - RESERVED)
    assert account.spent["tokens"] > 20_000 - 120 - RESERVED
    assert account.reserved["tokens"] == 0


HOLDER = """
import sys, clew
clew.init(data_dir=sys.argv[1], spool=False)
clew.budget("held", calls=1).apply()
with clew.llm("chat"):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_killed_holders_reservation_is_free_again(tmp_path: Path) -> None:
    held = declared(name="held", calls=1)
    ledger = Ledger(tmp_path / "budgets.sqlite")
    holder = start(HOLDER, tmp_path)
    try:
        assert line(holder) == "held"
        assert ledger.account(held, "").reserved["calls"] == 1
        assert ledger.reserve(1, [Claim(held, "", {"calls": 1})]) is not None
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        assert ledger.account(held, "").reserved["calls"] == 0  # it is not shown either
        assert ledger.reserve(1, [Claim(held, "", {"calls": 1})]) is None
    finally:
        end(holder)


def test_a_process_of_the_same_id_that_began_later_is_another(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("not applicable: only Linux tells when a process started")
    from clew.cost.budgets import holder

    pid, began, namespace = holder.own(os.getpid()).split(" ", 2)
    assert holder.lives(f"{pid} {began} {namespace}") is True
    assert holder.lives(f"{pid} {int(began) - 1} {namespace}") is False
    assert holder.lives(f"{pid} {began} another machine") is None


def test_a_forked_child_shares_the_ledger(ledger: Ledger) -> None:
    held = declared(calls=10)
    spend(ledger, held)
    child = os.fork()
    if child == 0:
        try:
            spend(ledger, held, 2)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    spend(ledger, held)
    assert left(ledger, held) == 6
