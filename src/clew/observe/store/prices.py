"""Prices of the models that occur, from clew.cost into the store's table, where views join them to tokens."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from clew.cost.tariff import CLASSES, DAY_S, Rule, Tariff

if TYPE_CHECKING:
    from clew.observe.store.store import Store

_ALWAYS = -(1 << 62)


def refresh_prices(store: Store) -> str:
    """Resolves the (provider, request model, response model) that have no price of the present price data yet; gives its fingerprint.

    Idempotent. The response model's price goes before the request model's: it is what was served.

    :raises PriceError: the override file cannot be used
    """
    book = store.price_book()
    missing = store.query(
        "SELECT provider, request_model, response_model FROM prices FINAL WHERE resolved_ns = 0 OR fingerprint != {fingerprint:String}",
        {"fingerprint": book.fingerprint},
    ).result_rows
    now = time.time_ns()
    rows = []
    for provider, request_model, response_model in missing:
        tariff = next((t for m in (response_model, request_model) if m and (t := book.tariff(provider or None, m))), None)
        matched = f"{tariff.matched_provider}:{tariff.matched_model}" if tariff else ""
        version = tariff.version if tariff else ""
        flat = _flat(tariff)
        rows.append(
            (provider, request_model, response_model, now, matched, version, book.fingerprint, flat, [] if flat else _rules(tariff))
        )
    store.insert_rows("prices", _COLUMNS, rows)
    return book.fingerprint


Named = tuple[str, str, str]
"""Provider, request model and response model of a call."""


def tariffs(store: Store) -> dict[Named, Tariff]:
    """What the models cost that have a price, as the views know it."""
    priced = "SELECT provider, request_model, response_model, flat, rules FROM prices FINAL WHERE notEmpty(flat) OR notEmpty(rules)"

    def read() -> dict[Named, Tariff]:
        return {
            (provider, request_model, response_model): _tariff(response_model or request_model, flat, rules)
            for provider, request_model, response_model, flat, rules in store.query(priced).result_rows
        }

    return store.remembered(priced, read)


def _tariff(model: str, flat: list[float], rules: list[dict[str, Any]]) -> Tariff:
    held = [Rule({name: ((0, usd),) for name, usd in zip(CLASSES, flat, strict=True)})] if flat else [_rule(rule) for rule in rules]
    return Tariff(None, model, "", model, "genai-prices", "", tuple(held))


def _rule(rule: dict[str, Any]) -> Rule:
    starts = None if rule["starts_s"] == _ALWAYS else datetime.fromtimestamp(rule["starts_s"], UTC)
    tiers = [tuple((tier["above"], tier["usd"]) for tier in tiers) for tiers in rule["per_million"]]
    prices = dict(zip(CLASSES, tiers, strict=True)) if tiers else {}
    return Rule(prices, starts=starts, day_from_s=rule["day_from_s"], day_to_s=rule["day_to_s"])


_COLUMNS = ("provider", "request_model", "response_model", "resolved_ns", "matched", "source", "fingerprint", "flat", "rules")


def _flat(tariff: Tariff | None) -> list[float]:
    """Prices by class when there is one at all times and for calls of any size, else nothing."""
    if tariff is None or len(tariff.rules) != 1:
        return []
    rule = tariff.rules[0]
    always = rule.starts is None and (rule.day_from_s, rule.day_to_s) == (0, DAY_S)
    if not always or not rule.prices or any(len(tiers) != 1 for tiers in rule.prices.values()):
        return []
    return [rule.prices[name][0][1] for name in CLASSES]


_Rule = tuple[int, int, int, list[list[tuple[int, float]]]]


def _rules(tariff: Tariff | None) -> list[_Rule]:
    if tariff is None:
        return []
    return [
        (
            _ALWAYS if rule.starts is None else int(rule.starts.timestamp()),
            rule.day_from_s,
            rule.day_to_s,
            [list(rule.prices[name]) for name in CLASSES] if rule.prices else [],
        )
        for rule in tariff.rules
    ]
