"""``clew budgets``: what may be spent, what was, and what is left."""

from __future__ import annotations

import time
from difflib import get_close_matches
from typing import Any

import click

from clew import settings
from clew.cli import figures, invocation
from clew.cli.terminal import Cell, Column, safe
from clew.cost.budgets import FILE
from clew.cost.budgets.budget import MEASURES, PATTERNS, SCOPES, Unpriced
from clew.cost.budgets.figures import Budgets, BudgetState, known
from clew.cost.budgets.ledger import Ledger, ledger_path
from clew.cost.budgets.verdicts import figure
from clew.cost.budgets.windows import CALENDAR
from clew.errors import BudgetError


@click.group("budgets")
def command() -> None:
    """Set limits on tokens, USD, model calls and wall time, and see what was spent of them.

    What programs spend stands in a ledger in the data directory that all of them share; no server is needed.
    """


@command.command("list")
@click.argument("name", required=False)
@invocation.as_json
@invocation.common
def list_(name: str | None, as_json: bool) -> None:
    """List budgets and their accounts: limit, spent, reserved, remaining, and what is to be expected.

    A negative remainder is an overspend. ≥ stands before what leaves out calls whose price or usage is not known.
    """
    found = known(invocation.data_dir(), name=name)
    page = invocation.page()
    if as_json:
        page.json(found)
        return
    _say_ledger(found)
    if not found.budgets:
        page.line(f"There {f'is no budget {name!r}' if name else 'are no budgets'}. clew budgets set NAME --usd 5 --window day makes one.")
        return
    columns = (
        Column("budget", shrink_to=12),
        Column("of", shrink_to=8),
        Column("window"),
        Column("limit", "right"),
        Column("spent", "right"),
        Column("reserved", "right", drop=2),
        Column("remaining", "right"),
        Column("%", "right", drop=1),
        Column("by the end", "right", drop=3),
    )
    page.table(columns, [row for state in found.budgets for row in _rows(state)])
    guessed = sum(state.estimated_calls for state in found.budgets)
    if guessed:
        page.note(f"{figures.plural(guessed, 'call')} told no usage: budgets keep what was reserved for them")
    unpriced = sum(state.unpriced_calls for state in found.budgets)
    if unpriced:
        page.note(f"{figures.plural(unpriced, 'call')} had no price and are in no sum of USD: add it to prices.toml")


def _rows(state: BudgetState) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = []
    for number, (measure, limit) in enumerate(state.limits.items()):
        left, percent, projected = state.remaining[measure], state.percent[measure], state.projected[measure]
        style = "bad" if left < 0 or (percent or 0) >= 100 else ""
        unknown = "≥" if measure == "usd" and state.unpriced_calls else ""
        rows.append(
            (
                Cell("" if number else safe(state.name) + ("" if state.hard else " (soft)"), "strong"),
                Cell("" if number else f"{state.per} {safe(state.key[:24])}".strip() if state.per else "", "faint"),
                Cell("" if number else state.window or "", "faint"),
                Cell(_figure(measure, limit)),
                Cell(unknown + _figure(measure, state.spent[measure])),
                Cell(_figure(measure, state.reserved[measure]) if state.reserved[measure] else "", "faint"),
                Cell(_figure(measure, left), style),
                Cell("" if percent is None else f"{percent:.0f}", style),
                Cell("" if projected is None else _figure(measure, projected), "faint"),
            )
        )
    return rows


def _figure(measure: Any, amount: float) -> str:
    return f"-{figure(measure, -amount)}" if amount < 0 else figure(measure, amount)


@command.command("set")
@click.argument("name")
@click.option("--tokens", type=float, metavar="N", help="Most tokens, input and output.")
@click.option("--usd", type=float, metavar="N", help="Most US dollars.")
@click.option("--calls", type=float, metavar="N", help="Most model calls.")
@click.option("--seconds", type=float, metavar="N", help="Longest wall time.")
@click.option("--per", type=click.Choice(SCOPES), help="One account for each value of this.")
@click.option("--window", metavar="WINDOW", help="hour, day, week, month (UTC), or rolling, such as 24h.")
@click.option("--hard/--soft", default=None, help="Refuse the call that has no room, or only tell.")
@click.option("--thresholds", metavar="P,P", help="Percents that are told once in each period.")
@click.option("--unpriced", type=click.Choice(Unpriced.__args__), help="What becomes of models without a price.")  # type: ignore[attr-defined]
@click.option("--agent", metavar="PATTERN", help="Only calls of such agents; likewise the next ones.")
@click.option("--persona", metavar="PATTERN")
@click.option("--stage", metavar="PATTERN")
@click.option("--workflow", metavar="PATTERN")
@click.option("--model", metavar="PATTERN")
@click.option("--session", metavar="PATTERN")
@click.option("--user", metavar="PATTERN")
@click.option("--unset", "unset", multiple=True, type=click.Choice([*MEASURES, "per", "window", *PATTERNS]), help="Take this away.")
@invocation.common
def set_(name: str, unset: tuple[str, ...], thresholds: str | None, **given: Any) -> None:
    """Make a budget, or change one: in budgets.toml of the data directory, or the file that CLEW_BUDGETS names.

    What else stands in the file stays. Programs that run see the change at their next call.
    """
    from clew.cost.budgets.declared import write

    changes = {key: value for key, value in given.items() if value is not None} | dict.fromkeys(unset)
    if thresholds is not None:
        try:
            changes["thresholds"] = [float(part) for part in thresholds.split(",")]
        except ValueError:
            raise click.BadParameter(f"{thresholds!r} is no list of percents such as 80,95,100") from None
    file = settings.get("budgets") or invocation.data_dir() / FILE
    made = write(file, name, changes)
    limits = ", ".join(figure(measure, limit) for measure, limit in made.limits.items())
    invocation.warn(f"budget {safe(made.name)}: {limits}, in {safe(str(file))}")


@command.command("reset")
@click.argument("name")
@click.option("--of", "key", metavar="VALUE", help="Only the account of this agent, run, model, ...")
@invocation.common
def reset(name: str, key: str | None) -> None:
    """Forget what was spent of a budget, and which thresholds were told."""
    state = _named(name)[0]
    path = ledger_path(invocation.data_dir(), settings.get("budget_ledger"))
    count = 0
    if path is not None and path.exists():
        ledger = Ledger(path)
        try:
            count = ledger.reset(state.name, key)
        finally:
            ledger.close()
    invocation.warn(f"budget {safe(name)}: {figures.plural(count, 'account')} begin again")


@command.command("explain")
@click.argument("name")
@invocation.common
def explain(name: str) -> None:
    """Say what a budget limits, for whom, what happens at the limit, where it is declared, and how it stands."""
    states = _named(name)
    page = invocation.page()
    for line in _explained(states):
        page.line(line)


def _explained(states: list[BudgetState]) -> list[str]:
    state = states[0]
    limits = " and ".join(figure(measure, limit) for measure, limit in state.limits.items())  # type: ignore[arg-type]
    who = f"each {state.per} on its own" if state.per else "all calls together"
    only = " and ".join(f"{scope} {safe(pattern)}" for scope, pattern in state.only.items())
    when: dict[str | None, str] = {name: f"each {name}, in UTC" for name in CALENDAR}
    when[None] = "without an end"
    lines = [
        f"{safe(state.name)} limits {who} to {limits}, {when.get(state.window, f'in any {state.window}')}{f'; only calls of {only}' if only else ''}.",
        f"It is {'hard: a call that has no room is refused before it is made' if state.hard else 'soft: it tells, and refuses nothing'}.",
        f"It tells when {', '.join(f'{value:g}' for value in state.thresholds) or 'no'} % are spent, once in each period.",
    ]
    if "usd" in state.limits:
        lines.append(f"Calls of a model without a price are {'refused' if state.unpriced == 'refuse' else 'let through, and counted'}.")
    lines.append(f"It is declared in {safe(state.source)}.")
    for each in states:
        told = f"{each.per} {safe(each.key)}: " if each.per and each.key else ""
        for measure, spent in each.spent.items():
            kind: Any = measure
            end = ""
            if each.exhausted_at is not None:
                end = f"; at this rate it is spent at {time.strftime('%Y-%m-%d %H:%M', time.gmtime(each.exhausted_at))} UTC"
            lines.append(f"{told}{figure(kind, spent)} spent, {_figure(kind, each.remaining[measure])} left{end}.")
    return lines


def _named(name: str) -> list[BudgetState]:
    """:raises BudgetError: there is none of that name; names the nearest"""
    found = known(invocation.data_dir(), name=name)
    if found.budgets:
        return list(found.budgets)
    names = sorted({state.name for state in known(invocation.data_dir()).budgets})
    near = get_close_matches(name, names, n=1)
    raise BudgetError(f"there is no budget {name!r}; {f'did you mean {near[0]}?' if near else 'clew budgets list shows those that are'}")


def _say_ledger(found: Budgets) -> None:
    if found.ledger not in ("ok", "none"):
        invocation.warn(f"warning: {safe(found.ledger)}; what was spent is not known")
