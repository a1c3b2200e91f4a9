"""The user's own prices: a TOML file of ``[[price]]`` entries and at most one ``[default_price]``. docs/cost.md describes it."""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, Final, Literal, get_args

from clew.cost.tariff import CLASSES, Rule, Tiers, filled
from clew.errors import PriceError

Match = Literal["exact", "prefix", "regex"]

_ENTRY_KEYS: Final = ("model", "provider", "match", "starts", "tiers", *CLASSES)
_DEFAULT_KEYS: Final = ("tiers", *CLASSES)
_TIER_KEYS: Final = ("above", *CLASSES)


@dataclass(frozen=True, slots=True)
class Override:
    """One ``[[price]]``: the models it is for and its rule."""

    model: str
    provider: str | None
    match: Match
    rule: Rule

    def fits(self, providers: Iterable[str], model: str) -> bool:
        """Whether it is for a model of a provider that goes by any of ``providers``; case does not matter."""
        if self.provider is not None and self.provider.lower() not in providers:
            return False
        if self.match == "regex":
            return re.search(self.model, model, re.IGNORECASE) is not None
        folded, wanted = model.lower(), self.model.lower()
        return folded.startswith(wanted) if self.match == "prefix" else folded == wanted


@dataclass(frozen=True, slots=True)
class Overrides:
    entries: tuple[Override, ...] = ()
    default: Rule | None = None
    """For models that have no price otherwise."""
    version: str = ""
    """Name and date of the file; '' for none."""
    content: bytes = b""

    def with_default(self, input: float, output: float) -> Overrides:
        """With another price for models that have none, in USD per million tokens."""
        rule = Rule(filled({"input": ((0, input),), "output": ((0, output),)}), source="override")
        name = f"default price {input:g}/{output:g}"
        version = ", ".join(filter(None, [self.version, name]))
        return replace(self, default=rule, version=version, content=self.content + name.encode())


def read_overrides(path: Path) -> Overrides:
    """The file's entries, in its order.

    :raises PriceError: the file cannot be read or used; names the file, the entry, the value and what to do
    """
    try:
        content = path.read_bytes()
        changed = datetime.fromtimestamp(path.stat().st_mtime, UTC).date()
    except OSError as error:
        raise PriceError(f"{path} cannot be read: {error.strerror}; create it, or unset CLEW_PRICES") from None
    try:
        document = tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PriceError(f"{path} is not TOML: {error}") from None
    _known(document, ("price", "default_price"), f"{path}")
    entries = document.get("price", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise PriceError(f"{path}: price is not a list of tables; write [[price]] above each entry")
    default = document.get("default_price")
    if default is not None and not isinstance(default, dict):
        raise PriceError(f"{path}: default_price is not a table; write [default_price] above its prices")
    return Overrides(
        entries=tuple(_entry(entry, f"{path}: price {number}") for number, entry in enumerate(entries, 1)),
        default=None if default is None else _rule(default, _DEFAULT_KEYS, f"{path}: default_price"),
        version=f"{path.name} {changed}",
        content=content,
    )


def _entry(entry: dict[str, Any], place: str) -> Override:
    model = entry.get("model")
    if not isinstance(model, str) or not model:
        raise PriceError(f'{place}: model = {model!r} is not usable; write model = "name of the model"')
    place = f"{place} ({model})"
    provider, match = entry.get("provider"), entry.get("match", "exact")
    if provider is not None and not isinstance(provider, str):
        raise PriceError(f"{place}: provider = {provider!r} is not usable; write its name in quotes, or leave it out for any provider")
    if match not in get_args(Match):
        raise PriceError(f"{place}: match = {match!r} is not usable; expected one of {', '.join(get_args(Match))}")
    if match == "regex":
        try:
            re.compile(model)
        except (re.error, RecursionError, OverflowError) as error:
            raise PriceError(f"{place}: model is not a regular expression: {error}") from None
    return Override(model, provider, match, _rule(entry, _ENTRY_KEYS, place))


def _rule(entry: dict[str, Any], keys: tuple[str, ...], place: str) -> Rule:
    _known(entry, keys, place)
    for name in ("input", "output"):
        if name not in entry:
            raise PriceError(f"{place}: {name} is missing; write {name} = <USD per million tokens>, 0 if it costs nothing")
    base = {name: _usd(entry[name], f"{place}: {name}") for name in CLASSES if name in entry}
    tiers = _tiers(entry.get("tiers", []), place)
    prices: dict[str, Tiers] = {
        name: ((0, price), *((above, step[name]) for above, step in tiers if name in step)) for name, price in base.items()
    }
    for above, step in tiers:
        if lacking := step.keys() - base.keys():
            raise PriceError(f"{place}: the tier above {above} prices {sorted(lacking)[0]}, which has no base price; add it to the entry")
    return Rule(filled(prices), starts=_starts(entry.get("starts"), place), source="override")


def _tiers(value: object, place: str) -> list[tuple[int, dict[str, float]]]:
    if not isinstance(value, list) or not all(isinstance(tier, dict) for tier in value):
        raise PriceError(f"{place}: tiers is not a list of tables; write tiers = [{{ above = 200000, input = 6.0, output = 22.5 }}]")
    found = []
    for number, tier in enumerate(value, 1):
        where = f"{place}: tier {number}"
        _known(tier, _TIER_KEYS, where)
        above = tier.get("above")
        if type(above) is not int or above <= 0:
            raise PriceError(f"{where}: above = {above!r} is not usable; expected a number of input tokens above 0")
        found.append((above, {name: _usd(tier[name], f"{where}: {name}") for name in CLASSES if name in tier}))
    return sorted(found, key=lambda tier: tier[0])


def _usd(value: object, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1e12 or not math.isfinite(value):
        raise PriceError(f"{place} = {value!r} is not usable; expected USD as a number of at least 0")
    return float(value)


def _starts(value: object, place: str) -> datetime | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    raise PriceError(f"{place}: starts = {value!r} is not usable; expected a date without quotes, such as starts = 2026-01-01")


def _known(table: dict[str, Any], keys: tuple[str, ...], place: str) -> None:
    for key in table:
        if key not in keys:
            nearest = difflib.get_close_matches(key, keys, 1, 0.5)
            hint = f"did you mean {nearest[0]}?" if nearest else f"known are {', '.join(keys)}"
            raise PriceError(f"{place}: unknown key {key!r}; {hint}")
