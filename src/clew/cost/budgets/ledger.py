"""The ledger: what was spent and what is reserved, in one SQLite file that all processes of a machine share.

A call reserves in every budget that holds for it, or in none, in one transaction; what it then used replaces the reservation. So the sum of
what is spent and reserved never passes a hard limit, whoever else is calling. A reservation names its holder, process and start; when a call
finds no room, the reservations of dead holders are dropped first.

Times are seconds since 1970. WAL mode, ``synchronous=NORMAL``: a killed process loses nothing, a power cut at most the last moments.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from clew.cost.budgets import holder
from clew.cost.budgets.budget import MEASURES, Amounts, Budget, Measure
from clew.cost.budgets.verdicts import Crossing, Refusal
from clew.errors import BudgetError

FILE: Final = "budgets.sqlite"
"""Name of the file in the data directory."""
MEMORY: Final = ":memory:"
"""A ledger of this process alone, which ends with it."""

BUSY_S: Final = 2.0
"""Longest wait for other processes. A transaction takes a tenth of a millisecond, so hundreds of calls at once do not come near it."""
KEPT_S: Final = 30 * 86_400.0
"""How long the account of a run, or of a period that is over, stays to be looked at."""
PRUNED_EVERY: Final = 500
"""Transactions of a process between two looks for accounts that may go."""
EPSILON: Final = 1e-9
"""Sums of USD are binary fractions: a limit is passed only by more than this."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS budget (name TEXT PRIMARY KEY, declaration TEXT NOT NULL, seen REAL NOT NULL);
CREATE TABLE IF NOT EXISTS spent (
    budget TEXT NOT NULL, key TEXT NOT NULL, period REAL NOT NULL,
    tokens REAL NOT NULL DEFAULT 0, usd REAL NOT NULL DEFAULT 0, calls REAL NOT NULL DEFAULT 0, seconds REAL NOT NULL DEFAULT 0,
    estimated INTEGER NOT NULL DEFAULT 0, unpriced INTEGER NOT NULL DEFAULT 0,
    began REAL NOT NULL, changed REAL NOT NULL, keep_until REAL NOT NULL,
    PRIMARY KEY (budget, key, period)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS held (
    call INTEGER NOT NULL, budget TEXT NOT NULL, key TEXT NOT NULL,
    tokens REAL NOT NULL, usd REAL NOT NULL, calls REAL NOT NULL, seconds REAL NOT NULL,
    holder TEXT NOT NULL, made REAL NOT NULL,
    PRIMARY KEY (budget, key, call)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS held_by_call ON held (call);
CREATE TABLE IF NOT EXISTS fired (
    budget TEXT NOT NULL, key TEXT NOT NULL, period REAL NOT NULL, measure TEXT NOT NULL, threshold REAL NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (budget, key, period, measure, threshold)) WITHOUT ROWID;
PRAGMA user_version = 1;
"""
_SUMS: Final = ", ".join(f"coalesce(sum({measure}), 0)" for measure in MEASURES)


@dataclass(frozen=True, slots=True)
class Claim:
    """What one call asks of one account."""

    budget: Budget
    key: str
    amounts: Amounts
    running: float = 0.0
    """Seconds that count already and are not in the ledger yet."""
    lasts: bool = False
    """They are all the time since the account began, in whichever process."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What one call used of one account."""

    budget: Budget
    key: str
    amounts: Amounts
    estimated: bool = False
    unpriced: bool = False
    at: float | None = None
    """When the call began, which decides the period; None: now."""
    elapsed: float | None = None
    """Seconds that the account has lasted: they replace what stands there, and never lower it."""


@dataclass(frozen=True, slots=True)
class Account:
    """What the ledger holds of one account, in the period that holds now."""

    budget: Budget
    key: str
    spent: Mapping[Measure, float]
    reserved: Mapping[Measure, float]
    estimated: int
    unpriced: int
    began: float | None
    fired: tuple[tuple[Measure, float], ...]


class Ledger:
    """One file, opened on first use; threads and forked children may use it.

    :param path: None: within this process alone
    :param now: the clock
    """

    def __init__(self, path: Path | None, *, now: Callable[[], float] = time.time) -> None:
        self.path = path
        self.now = now
        self._pid = 0
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.Lock()
        self._known: dict[str, Budget] = {}
        """What this process has written of what was declared."""
        self._until_pruned = 0

    # -- what a call does ---------------------------------------------------------------------------------------------------------

    def reserve(self, call: int, claims: Sequence[Claim], *, instead_of: int | None = None) -> Refusal | None:
        """Reserves in all accounts, or in none. A soft budget reserves too and never refuses.

        :param call: names the reservation, for :meth:`settle`; any number that no other call has
        :param instead_of: a reservation that is given back first
        :returns: None when there was room everywhere, else the budget with the least room
        :raises BudgetError: the ledger cannot be used
        """
        now = self.now()
        with self._transaction() as connection:
            if instead_of is not None:
                connection.execute("DELETE FROM held WHERE call = ?", (instead_of,))
            refusal = self._tightest(connection, claims, now)
            if refusal is not None and self._drop_dead(connection, now):
                refusal = self._tightest(connection, claims, now)
            if refusal is not None:
                return refusal
            mine = holder.own(os.getpid())
            connection.executemany(
                "INSERT INTO held VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (call, claim.budget.name, claim.key, *(claim.amounts.get(measure, 0.0) for measure in MEASURES), mine, now)
                    for claim in claims
                ],
            )
            self._note(connection, [claim.budget for claim in claims], now)
        return None

    def settle(self, call: int | None, charges: Sequence[Charge]) -> list[Crossing]:
        """Puts what was used in the place of what was reserved.

        :param call: None: nothing was reserved
        :returns: the thresholds that were passed, each for the first time in its period
        :raises BudgetError: the ledger cannot be used
        """
        now = self.now()
        crossings: list[Crossing] = []
        with self._transaction() as connection:
            if call is not None:
                connection.execute("DELETE FROM held WHERE call = ?", (call,))
            for charge in charges:
                self._book(connection, charge, now)
                crossings += self._crossings(connection, charge.budget, charge.key, now)
            self._note(connection, [charge.budget for charge in charges], now)
            self._prune(connection, now)
        return crossings

    def reset(self, budget: str, key: str | None = None) -> int:
        """Forgets what was spent, of one account or of all of the budget's; reservations of calls under way stay. How many there were.

        :raises BudgetError: the ledger cannot be used
        """
        where, values = ("budget = ?", (budget,)) if key is None else ("budget = ? AND key = ?", (budget, key))
        with self._transaction() as connection:
            count: int = connection.execute(f"SELECT count(DISTINCT key) FROM spent WHERE {where}", values).fetchone()[0]
            connection.execute(f"DELETE FROM spent WHERE {where}", values)
            connection.execute(f"DELETE FROM fired WHERE {where}", values)
        return count

    # -- what is asked of it ------------------------------------------------------------------------------------------------------

    def account(self, budget: Budget, key: str) -> Account:
        """:raises BudgetError: the ledger cannot be used"""
        with self._reading() as connection:
            return self._account(connection, budget, key, self.now())

    def accounts(self, budget: Budget, *, most: int = 1000) -> list[Account]:
        """Its accounts that hold something now, those that changed last first.

        :raises BudgetError: the ledger cannot be used
        """
        now = self.now()
        with self._reading() as connection:
            found = connection.execute(
                "SELECT key FROM (SELECT key, max(changed) AS changed FROM spent WHERE budget = ? AND period >= ? GROUP BY key "
                "UNION ALL SELECT key, max(made) FROM held WHERE budget = ? GROUP BY key) GROUP BY key ORDER BY max(changed) DESC LIMIT ?",
                (budget.name, _since(budget, now), budget.name, most),
            )
            return [self._account(connection, budget, key, now) for (key,) in found.fetchall()]

    def budgets(self) -> list[Budget]:
        """Every budget that a process has used, as it was declared last.

        :raises BudgetError: the ledger cannot be used
        """
        with self._reading() as connection:
            found = connection.execute("SELECT declaration FROM budget ORDER BY name").fetchall()
        return [Budget.from_json(text) for (text,) in found]

    # -- inside a transaction -----------------------------------------------------------------------------------------------------

    def _tightest(self, connection: sqlite3.Connection, claims: Iterable[Claim], now: float) -> Refusal | None:
        """The hard limit with the smallest share left that has no room."""
        tightest: tuple[float, Refusal] | None = None
        for claim in claims:
            if not claim.budget.hard:
                continue
            spent = self._spent(connection, claim.budget, claim.key, now)
            held = self._held(connection, claim.budget, claim.key)
            for measure, limit in claim.budget.limits.items():
                used = spent[measure]
                if measure == "seconds":
                    used = max(used, claim.running, self._lasts(connection, claim, now)) if claim.lasts else used + claim.running
                asked = claim.amounts.get(measure, 0.0)
                total = used + held[measure]
                if total + asked > limit + EPSILON or (not asked and total >= limit - EPSILON):
                    left = (limit - total) / limit if limit else 0.0
                    if tightest is None or left < tightest[0]:
                        tightest = (
                            left,
                            Refusal(
                                budget=claim.budget,
                                key=claim.key,
                                measure=measure,
                                limit=limit,
                                spent=used,
                                reserved=held[measure],
                                asked=asked,
                            ),
                        )
        return None if tightest is None else tightest[1]

    def _spent(self, connection: sqlite3.Connection, budget: Budget, key: str, now: float) -> dict[Measure, float]:
        row = connection.execute(
            f"SELECT {_SUMS} FROM spent WHERE budget = ? AND key = ? AND period >= ?", (budget.name, key, _since(budget, now))
        ).fetchone()
        return dict(zip(MEASURES, row, strict=True))

    def _lasts(self, connection: sqlite3.Connection, claim: Claim, now: float) -> float:
        began = connection.execute("SELECT min(began) FROM spent WHERE budget = ? AND key = ?", (claim.budget.name, claim.key)).fetchone()[
            0
        ]
        return 0.0 if began is None else now - began

    def _held(self, connection: sqlite3.Connection, budget: Budget, key: str) -> dict[Measure, float]:
        row = connection.execute(f"SELECT {_SUMS} FROM held WHERE budget = ? AND key = ?", (budget.name, key)).fetchone()
        return dict(zip(MEASURES, row, strict=True))

    def _held_by_the_living(self, connection: sqlite3.Connection, budget: Budget, key: str) -> dict[Measure, float]:
        """The same without the reservations of dead holders, which the next call that needs the room drops."""
        rows = connection.execute(f"SELECT holder, {_SUMS} FROM held WHERE budget = ? AND key = ? GROUP BY holder", (budget.name, key))
        living = [sums for name, *sums in rows.fetchall() if holder.lives(name) is not False]
        return {measure: sum(sums[index] for sums in living) for index, measure in enumerate(MEASURES)}

    def _account(self, connection: sqlite3.Connection, budget: Budget, key: str, now: float) -> Account:
        since = _since(budget, now)
        estimated, unpriced, began = connection.execute(
            "SELECT coalesce(sum(estimated), 0), coalesce(sum(unpriced), 0), min(began) FROM spent "
            "WHERE budget = ? AND key = ? AND period >= ?",
            (budget.name, key, since),
        ).fetchone()
        fired = connection.execute(
            "SELECT measure, threshold FROM fired WHERE budget = ? AND key = ? AND period = ? ORDER BY measure, threshold",
            (budget.name, key, _fires_in(budget, now)),
        ).fetchall()
        spent, held = self._spent(connection, budget, key, now), self._held_by_the_living(connection, budget, key)
        return Account(budget, key, spent, held, estimated, unpriced, began, tuple(fired))

    def _book(self, connection: sqlite3.Connection, charge: Charge, now: float) -> None:
        budget, at = charge.budget, charge.at if charge.at is not None else now
        period = 0.0 if budget.window is None else budget.window.period(at)[0]
        amounts = [charge.amounts.get(measure, 0.0) for measure in MEASURES]
        began = at if charge.elapsed is None else now - charge.elapsed
        connection.execute(
            "INSERT INTO spent VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "tokens = tokens + excluded.tokens, usd = usd + excluded.usd, calls = calls + excluded.calls, "
            "seconds = seconds + excluded.seconds, estimated = estimated + excluded.estimated, unpriced = unpriced + excluded.unpriced, "
            "began = min(began, excluded.began), changed = excluded.changed, keep_until = excluded.keep_until",
            (budget.name, charge.key, period, *amounts, charge.estimated, charge.unpriced, began, now, _kept_until(budget, now)),
        )
        if charge.elapsed is not None:
            connection.execute(
                "UPDATE spent SET seconds = max(seconds, ?) WHERE budget = ? AND key = ? AND period = ?",
                (charge.elapsed, budget.name, charge.key, period),
            )

    def _crossings(self, connection: sqlite3.Connection, budget: Budget, key: str, now: float) -> list[Crossing]:
        if not budget.thresholds:
            return []
        found = []
        spent = self._spent(connection, budget, key, now)
        period = _fires_in(budget, now)
        for measure, limit in budget.limits.items():
            percent = 100.0 * spent[measure] / limit if limit else (100.0 if spent[measure] else 0.0)
            if budget.window is not None and budget.window.seconds:  # it may fall again, and then be passed again
                connection.execute(
                    "DELETE FROM fired WHERE budget = ? AND key = ? AND measure = ? AND threshold > ?", (budget.name, key, measure, percent)
                )
            for threshold in budget.thresholds:
                if percent + EPSILON < threshold:
                    break
                row = (budget.name, key, period, measure, threshold, now)
                if connection.execute("INSERT OR IGNORE INTO fired VALUES (?, ?, ?, ?, ?, ?)", row).rowcount:
                    found.append(Crossing(budget=budget, key=key, measure=measure, threshold=threshold, limit=limit, spent=spent[measure]))
        return found

    def _drop_dead(self, connection: sqlite3.Connection, now: float) -> bool:
        """Drops the reservations of dead holders; whether there were any."""
        dead = []
        for name, made in connection.execute("SELECT holder, min(made) FROM held GROUP BY holder").fetchall():
            alive = holder.lives(name)
            if alive is False or (alive is None and made < now - holder.LONGEST_S):
                dead.append((name,) if alive is False else (name, now - holder.LONGEST_S))
        for values in dead:
            connection.execute(f"DELETE FROM held WHERE holder = ?{' AND made < ?' if len(values) > 1 else ''}", values)
        return bool(dead)

    def _note(self, connection: sqlite3.Connection, budgets: Iterable[Budget], now: float) -> None:
        """Writes down what was declared, once for each process, so that others can say what the figures mean."""
        for budget in budgets:
            known = self._known.get(budget.name)
            if known is not budget and known != budget:
                connection.execute(
                    "INSERT INTO budget VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET declaration = excluded.declaration, seen = excluded.seen",
                    (budget.name, budget.to_json(), now),
                )
                self._known[budget.name] = budget

    def _prune(self, connection: sqlite3.Connection, now: float) -> None:
        self._until_pruned -= 1
        if self._until_pruned > 0:
            return
        self._until_pruned = PRUNED_EVERY
        connection.execute("DELETE FROM spent WHERE keep_until < ?", (now,))
        connection.execute(
            "DELETE FROM fired WHERE NOT EXISTS (SELECT 1 FROM spent WHERE spent.budget = fired.budget AND spent.key = fired.key)"
        )
        connection.execute(
            "DELETE FROM budget WHERE seen < ? AND NOT EXISTS (SELECT 1 FROM spent WHERE spent.budget = budget.name)", (now - KEPT_S,)
        )
        self._drop_dead(connection, now)

    # -- the file -----------------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        if self._pid != os.getpid():
            self._after_fork()
        with self._lock, self._faults():
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                self._known = {}
                raise

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """One moment of the ledger; nothing is written."""
        if self._pid != os.getpid():
            self._after_fork()
        with self._lock, self._faults():
            connection = self._open()
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            busy = "locked" in str(error) or "busy" in str(error)
            step = "other processes held it too long" if busy else "check its permissions and the disk, or move it away"
            raise LedgerError(f"the ledger of budgets {self.path} cannot be used: {error}; {step}", busy=busy) from error
        except sqlite3.DatabaseError as error:
            raise LedgerError(f"the ledger of budgets {self.path} is damaged: {error}; move it away to start from zero") from error
        except OSError as error:
            raise LedgerError(f"the ledger of budgets {self.path} cannot be used: {error.strerror}; check its permissions") from error

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            if self.path is not None:
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            connection = sqlite3.connect(self.path or MEMORY, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            try:
                if self.path is not None:
                    _to_wal(connection)
                    connection.execute("PRAGMA synchronous = NORMAL")
                version = connection.execute("PRAGMA user_version").fetchone()[0]
                if version > 1:
                    raise LedgerError(f"the ledger of budgets {self.path} was written by a newer Clew (format {version}); update Clew")
                if version < 1:
                    connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _after_fork(self) -> None:
        """A connection must not cross a fork; the parent's is kept, for closing it here would let go of the parent's file."""
        if self._pid and self._connection is not None:
            if self.path is None:  # the parent's accounts, as they were
                self._lock, self._pid = threading.Lock(), os.getpid()
                return
            _of_parents.append(self._connection)
            self._connection = None
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._known = {}

    def close(self) -> None:
        """Idempotent; the next use opens it again."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None and self._pid == os.getpid():
                connection.close()


_of_parents: Final[list[sqlite3.Connection]] = []


def ledger_path(data_dir: Path, named: Path | None) -> Path | None:
    """The ledger's file, as the setting ``budget_ledger`` names it; None: within the process."""
    if named is None:
        return data_dir / FILE
    return None if str(named) == MEMORY else named


class LedgerError(BudgetError):
    """The ledger cannot be used.

    :ivar busy: others held it too long; the next try may succeed
    """

    def __init__(self, message: str, *, busy: bool = False) -> None:
        super().__init__(message)
        self.busy = busy


class Reader(Ledger):
    """A ledger that is only looked at: nothing is made, nothing is changed.

    :raises BudgetError: at the first question, when it cannot be read
    """

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            assert self.path is not None
            address = f"file:{quote(os.fspath(self.path.absolute()))}?mode=ro"
            connection = sqlite3.connect(address, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            try:
                version = connection.execute("PRAGMA user_version").fetchone()[0]
            except BaseException:
                connection.close()
                raise
            if version != 1:
                connection.close()
                raise LedgerError(f"the ledger of budgets {self.path} has format {version}, not 1; use the Clew that wrote it")
            self._connection = connection
        return self._connection


def _to_wal(connection: sqlite3.Connection) -> None:
    """The switch does not wait for others by itself, unlike all that follows it."""
    deadline = time.monotonic() + BUSY_S
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.01)


def _since(budget: Budget, now: float) -> float:
    """Periods from this start on count."""
    return 0.0 if budget.window is None else budget.window.since(now)


def _fires_in(budget: Budget, now: float) -> float:
    """The period that thresholds are told once in. A rolling window has none: there they are told again once the figure has fallen below."""
    return 0.0 if budget.window is None or budget.window.seconds else budget.window.period(now)[0]


def _kept_until(budget: Budget, now: float) -> float:
    if budget.window is not None:
        return budget.window.period(now)[1] + budget.window.seconds + KEPT_S
    passing = budget.fresh or budget.per in ("run", "session")
    return now + KEPT_S if passing else 1e18
