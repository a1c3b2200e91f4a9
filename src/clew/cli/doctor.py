"""``clew doctor``: is everything in order, what was lost, and what to do about it."""

from __future__ import annotations

import os
import shutil
import sys
import time
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from clew import settings
from clew.cli import figures, invocation
from clew.cli.terminal import Cell, Page, safe
from clew.errors import ClewError, MissingExtra
from clew.wire.sizes import sizes

if TYPE_CHECKING:
    from clew.observe.ingest.collector import Stats
    from clew.observe.query.health import Health

MOST_LINES = 20
"""Lines of the collector's account that are written out."""
LEAST_FREE_BYTES = 256 << 20
"""Free space below which the store cannot merge its parts any more."""


@dataclass(frozen=True, slots=True)
class Finding:
    level: Literal["ok", "note", "wrong"]
    """``wrong`` makes the exit code 1."""
    subject: str
    text: str
    advice: str = ""


@click.command("doctor")
@invocation.as_json
@invocation.common
def command(as_json: bool) -> int:
    """Check the data directory, the store, the spool and what was lost; say what to do.

    The exit code is 1 when something is wrong.
    """
    directory = invocation.data_dir()
    findings = [_python(), *_settings(), *_disk(directory, settings.get("log_bytes")), *_damaged(directory)]
    state: Health | None = None
    account: Stats | None = None
    try:
        from clew.cli.operations import COLLECTED, HEALTH, SWEEP

        with invocation.client("doctor") as client:
            findings.append(Finding("ok", "owner", f"process {client.owner.pid}, Clew {client.owner.version}"))
            try:
                client.ask(SWEEP)
            except (ClewError, OSError) as error:
                findings.append(
                    Finding("wrong", "spool", f"new records could not be taken in: {error}", "make room on the disk, then run this again")
                )
            state = client.ask(HEALTH)
            findings += examine(state)
            account = client.ask(COLLECTED)
            findings += [*received(account), *waiting(account, directory, served=bool(client.owner.url)), *kept(account)]
    except (ClewError, OSError) as error:
        findings.append(Finding("wrong", "packages" if isinstance(error, MissingExtra) else "store", str(error)))
    page = invocation.page()
    if as_json:
        page.json({"findings": findings, "health": state, "received": account})
    else:
        write(page, findings)
    return 1 if any(finding.level == "wrong" for finding in findings) else 0


def _python() -> Finding:
    return Finding("ok", "python", f"{sys.version.split()[0]}, {sys.platform}")


def _settings() -> list[Finding]:
    """Misspelt settings do nothing, in silence."""
    found = []
    for name in settings.unknown():
        near = get_close_matches(name, [variable for setting in settings.TABLE for variable in setting.variables], n=1)
        advice = f"did you mean {near[0]}?" if near else "docs/settings.md has those that there are"
        found.append(Finding("note", "settings", f"{name} is no setting", advice))
    return found


def _damaged(directory: Path) -> list[Finding]:
    """Parts of the tables that the engine found broken, and pieces of the collector's log that cannot be read."""
    parts = [path for path in directory.glob("store/store/*/*/detached/*") if path.name.startswith(("broken", "unexpected"))]
    pieces = list(directory.glob("quarantine/*.damaged"))
    found = []
    if parts:
        text = f"the engine set {figures.plural(len(parts), 'damaged part')} of its tables aside, such as {parts[0]}"
        found.append(Finding("wrong", "damaged", text, "restore a backup, or import again what is missing, then delete them"))
    if pieces:
        text = f"{figures.plural(len(pieces), 'piece')} of the collector's log could not be read, such as {pieces[0]}"
        found.append(Finding("wrong", "damaged", text, "ask their senders to send again, then delete them"))
    return found


def _disk(directory: Path, log_bytes: int = 0) -> list[Finding]:
    there = next(path for path in (directory, *directory.parents) if path.exists())
    if not there.is_dir():
        return [Finding("wrong", "data directory", f"{there} is not a directory", "name another one with --data-dir or CLEW_DATA_DIR")]
    if not os.access(there, os.W_OK | os.X_OK):
        return [Finding("wrong", "data directory", f"{there} is not writable", f"chmod u+rwx {there}, or name another one with --data-dir")]
    free = shutil.disk_usage(there).free
    state = "" if there == directory else " (does not exist yet)"
    text = f"{directory}{state}, {figures.size(free)} free"
    if free < LEAST_FREE_BYTES:
        return [Finding("wrong", "data directory", text, "make room: programs cannot record and the store cannot take records in")]
    if free < log_bytes:
        advice = "make room, or lower CLEW_LOG_BYTES: on a full disk clew serve answers 503 and takes nothing more"
        return [Finding("note", "data directory", f"{text}, less than the collector's log may take ({figures.size(log_bytes)})", advice)]
    return [Finding("ok", "data directory", text)]


def waiting(account: Stats, directory: Path, *, served: bool) -> list[Finding]:
    """What lies in the collector's log."""
    if served:
        if not account.log_bytes:
            return []
        text = f"{figures.size(account.log_bytes)} of {figures.size(account.log_limit_bytes)}, {figures.plural(account.waiting, 'record')} waiting"
        return [Finding("note" if account.log_bytes > account.log_limit_bytes // 2 else "ok", "log", text)]
    left = sum(sizes(directory / "wal", ".wal").values())
    if not left:
        return []
    return [Finding("note", "log", f"{figures.size(left)} of an earlier server's log may wait", "clew serve stores it when it starts")]


def kept(account: Stats) -> list[Finding]:
    """How long records are kept, and what went."""
    found = []
    if (state := account.retention) is not None:
        terms = ((state.traces_days, "traces"), (state.logs_days, "logs"), (state.metrics_days, "metrics"))
        text = ", ".join(f"{signal} {figures.plural(days, 'day') if days else 'for ever'}" for days, signal in terms)
        if state.cap_bytes:
            text += f", at most {figures.size(state.cap_bytes)}"
        if state.oldest:
            text += f"; oldest: {', '.join(f'{signal} {day}' for signal, day in sorted(state.oldest.items()))}"
        if not state.pruned_ns:
            found.append(Finding("ok", "kept", f"{text}; nothing was looked through yet: clew serve does it, or clew prune"))
        else:
            found.append(
                Finding("ok", "kept", f"{text}; looked through {time.strftime('%Y-%m-%d %H:%M', time.localtime(state.pruned_ns / 1e9))}")
            )
    for signal, reasons in sorted(account.removed.items()):
        found.append(Finding("ok", "removed", f"{signal}{_reasons(reasons)}"))
    return found


def examine(health: Health) -> list[Finding]:
    """What the store's figures mean."""
    rows = ", ".join(f"{table.name} {table.rows:,} ({figures.size(table.bytes)})" for table in health.tables[:4])
    found = [
        Finding("ok", "clew", f"{health.version}, {health.engine}, schema {health.schema}"),
        Finding(
            "ok", "store", f"{figures.plural(health.spans, 'span')}, {figures.size(health.bytes)} in all" + (f": {rows}" if rows else "")
        ),
        Finding("ok", "spool", f"{figures.plural(health.spool_files, 'file')}, {figures.size(health.spool_bytes)}"),
    ]
    found += _losses(health)
    if health.quarantined:
        found.append(
            Finding(
                "wrong",
                "set aside",
                f"{figures.plural(health.quarantined, 'record')} could not be read",
                f"look at them in {Path(health.data_dir) / 'quarantine'}; clew retry tries again what the engine refused",
            )
        )
    if health.running:
        found.append(Finding("note", "running", f"{figures.plural(health.running, 'span')} have not ended"))
    if health.lost:
        found.append(
            Finding(
                "note",
                "lost",
                f"{figures.plural(health.lost, 'span')} never ended: the recording process died first",
                "clew search state:lost",
            )
        )
    if health.unindexed:
        text = f"the words of {figures.plural(health.unindexed, 'text')} that came in under full load are not in the index yet"
        found.append(Finding("note", "search", f"{text}: searches find them, and take longer until the engine has merged them"))
    if health.conflicts:
        found.append(
            Finding(
                "note", "conflicts", f"{figures.plural(health.conflicts, 'span')} arrived again with other content; the later one counts"
            )
        )
    if health.model_calls:
        share = health.calls_with_usage / health.model_calls
        level: Literal["ok", "note"] = "ok" if health.calls_with_usage == health.model_calls else "note"
        text = f"{health.calls_with_usage:,} of {figures.plural(health.model_calls, 'model call')} ({share:.1%}) recorded their usage"
        found.append(Finding(level, "usage", text))
    if health.unpriced_calls:
        text = f"{figures.plural(health.unpriced_calls, 'model call')} with usage but no price"
        found.append(
            Finding("note", "unpriced", text, "clew cost names the models; give their prices in prices.toml in the data directory")
        )
    found.append(Finding("ok", "prices", health.prices))
    return found


def _losses(health: Health) -> list[Finding]:
    if not health.losses:
        return [Finding("ok", "recorded", "no account of a recording process yet")]
    emitted, written, sampled_out = (sum(getattr(loss, name) for loss in health.losses) for name in ("emitted", "written", "sampled_out"))
    dropped: dict[str, int] = {}
    for loss in health.losses:
        for reason, count in loss.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + count
    lost = sum(dropped.values())
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(dropped.items()) if count)
    text = f"emitted {emitted:,} = written {written:,} + sampled out {sampled_out:,} + dropped {lost:,}{f' ({reasons})' if reasons else ''}"
    text += f", by {figures.plural(len(health.losses), 'process').replace('processs', 'processes')}"
    found = []
    if lost:
        found.append(
            Finding(
                "wrong", "recorded", text, "raise CLEW_QUEUE or CLEW_SPOOL_BYTES, make room on the disk, or record less; docs/settings.md"
            )
        )
    else:
        found.append(Finding("ok", "recorded", text))
    for loss in health.losses:
        gap = loss.emitted - loss.written - loss.sampled_out - sum(loss.dropped.values())
        if gap:
            who = f"{loss.service or 'a program'} (process {loss.process})"
            found.append(
                Finding(
                    "wrong",
                    "recorded",
                    f"the account of {who} does not add up: {abs(gap):,} spans too {'few' if gap > 0 else 'many'}",
                    "please report it",
                )
            )
    return found


def received(account: Stats) -> list[Finding]:
    """What the collector's account means."""
    if not account.lines and not account.refused_requests:
        return []
    lost = sum(account.rejected.values())
    text = f"received {account.received:,} = stored {account.stored:,} + rejected {lost:,}{_reasons(account.rejected)} + waiting {account.waiting:,}"
    text += f", from {figures.plural(len({line.sender for line in account.lines}), 'sender')}"
    found = [Finding("note" if lost else "ok", "received", text)]
    if len(account.lines) > 1:
        for line in account.lines[:MOST_LINES]:
            text = (
                f"{line.signal} of {line.sender}: {line.received:,} = {line.stored:,} + {sum(line.rejected.values()):,} + {line.waiting:,}"
            )
            found.append(Finding("note" if line.rejected else "ok", "received", text))
        if len(account.lines) > MOST_LINES:
            found.append(Finding("ok", "received", f"{len(account.lines) - MOST_LINES} more in --json and GET /api/v1/stats"))
    if account.cut:
        told = ", ".join(f"{what} {count:,}" for what, count in account.cut.items())
        text = f"records were cut for their limits: {told}"
        found.append(Finding("note", "received", text, "CLEW_BODY_ATTRIBUTES and its like set the limits"))
    if account.refused_requests:
        count = sum(account.refused_requests.values())
        text = f"{figures.plural(count, 'request')} answered with an error{_reasons(account.refused_requests)}; their senders keep them"
        found.append(Finding("note", "received", text))
    if account.gap:
        found.append(Finding("wrong", "received", f"the collector's account does not add up: {account.gap:,} records", "please report it"))
    if account.trouble:
        found.append(
            Finding(
                "wrong", "received", f"what waits is not taken in: {account.trouble}", "it is safe in the log meanwhile, and tried again"
            )
        )
    return found


def _reasons(counts: dict[str, int]) -> str:
    return f" ({', '.join(f'{reason} {count:,}' for reason, count in sorted(counts.items()))})" if counts else ""


_MARKS: dict[str, tuple[str, str]] = {"ok": ("", ""), "note": ("note", "warning"), "wrong": ("wrong", "error")}


def write(page: Page, findings: list[Finding]) -> None:
    rows: list[tuple[Cell, ...]] = []
    for finding in findings:
        mark, style = _MARKS[finding.level]
        rows.append(
            (
                Cell(finding.subject, "faint"),
                Cell(mark, style),
                Cell(safe(finding.text) + (f"; {safe(finding.advice)}" if finding.advice else "")),
            )
        )
    subject = max(len(row[0].text) for row in rows)
    for row in rows:
        page.line(page.row([(row[0], subject, "left"), (row[1], 5, "left"), (row[2], max(len(row[2].text), 1), "left")]))
    wrong = sum(finding.level == "wrong" for finding in findings)
    page.line()
    page.line(page.style(f"{figures.plural(wrong, 'thing')} {'is' if wrong == 1 else 'are'} wrong", "error") if wrong else "All is well.")
