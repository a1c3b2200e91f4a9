"""Prices: from a (provider, model) of the records to its tariff.

Price data is that of the package genai-prices as installed, never fetched; the user's override file stands above it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clew import settings
from clew.cost.overrides import Overrides, read_overrides
from clew.cost.providers import ANY_VENDOR, GATEWAYS, LOCAL, NAMED_BY_MODEL, PRICE_LIST
from clew.cost.tariff import DAY_S, Rule, Tariff, Tiers, filled
from clew.errors import MissingExtra

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice

OVERRIDE_FILE: Final = "prices.toml"

PRICE_KEYS: Final[dict[str, str]] = {
    "input": "input_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "audio_input": "input_audio_mtok",
    "output": "output_mtok",
    "reasoning": "output_reasoning_mtok",
    "audio_output": "output_audio_mtok",
    "request": "requests_kcount",
}
"""Our class -> the key of genai-prices. Its other keys (searches, images, pages, hours, ...) price what usage does not count."""

_VERTEX_RESOURCE: Final = re.compile(r"(?:projects/[^/]+/locations/[^/]+/)?publishers/(?P<publisher>[^/]+)/models/(?P<model>[^/@]+)")
"""A model's whole name at Vertex AI, which some of its clients report."""

_UNPRICED: Final = Rule({})
_EPOCH: Final = datetime.fromtimestamp(0, UTC)


class PriceBook:
    """All prices known to this process. Cheap to make; price data is loaded on the first look-up (about 0.4 s).

    :param override: the user's file, or None for none
    :param default: USD per million tokens, in and out, of a model that has no price otherwise; stands above the file's default_price
    :raises PriceError: the override file cannot be read or used
    """

    def __init__(self, override: Path | None = None, *, default: tuple[float, float] | None = None) -> None:
        overrides = read_overrides(override) if override is not None else Overrides()
        self._overrides = overrides if default is None else overrides.with_default(*default)
        self._found: dict[tuple[str | None, str], Tariff | None] = {}
        self._snapshot: DataSnapshot | None = None

    @classmethod
    def from_settings(cls, data_dir: Path) -> PriceBook:
        """With the override file that the setting ``prices`` names, else with prices.toml of ``data_dir`` if there is one; and with the
        setting ``default_price``."""
        named: Path | None = settings.get("prices")
        usual = data_dir / OVERRIDE_FILE
        return cls(named if named is not None else usual if usual.exists() else None, default=settings.get("default_price"))

    @property
    def version(self) -> str:
        """Where the prices come from: the price data's version, and the override file's name and date."""
        return ", ".join(part for part in (self._data_version, self._overrides.version) if part)

    @property
    def fingerprint(self) -> str:
        """Changes whenever a tariff may have changed: with the price data, the override file's content and this package."""
        import hashlib

        parts = (version("clew"), self._data_version, self._overrides.content)
        return hashlib.sha256("\0".join(map(repr, parts)).encode()).hexdigest()[:16]

    def tariff(self, provider: str | None, model: str) -> Tariff | None:
        """What ``model`` of ``provider`` costs, both as they stand in the records; None when no price is known.

        :raises MissingExtra: genai-prices is not installed
        """
        key = (provider, model)
        if key not in self._found:
            self._found[key] = self._resolve(provider, model)
        return self._found[key]

    @property
    def _data_version(self) -> str:
        _require()
        return f"genai-prices {version('genai-prices')}"

    def _resolve(self, provider: str | None, model: str) -> Tariff | None:
        listed = self._listed(provider, model)
        base = listed.rules if listed is not None else ()
        if not base and self._overrides.default is not None:
            base = (self._overrides.default,)
        folded = (provider or "").lower()
        names = {folded, self._price_list(folded) or folded}
        fitting = [entry for entry in self._overrides.entries if entry.fits(names, model)]
        undated = [entry for entry in fitting if entry.rule.starts is None]
        dated = sorted((entry for entry in fitting if entry.rule.starts is not None), key=lambda entry: entry.rule.starts or _EPOCH)
        if undated:
            base = (undated[-1].rule,)
        rules = (*(base or (_UNPRICED,)), *(entry.rule for entry in dated))
        if not any(rule.prices for rule in rules):
            return None
        if not any(rule.source == "override" for rule in rules):
            return listed
        entry = dated[-1] if dated else undated[-1] if undated else None
        return Tariff(
            provider=provider,
            model=model,
            matched_provider=entry.provider or "" if entry else "",
            matched_model=entry.model if entry else "default_price",
            source="override",
            version=self._overrides.version,
            rules=rules,
        )

    def _listed(self, provider: str | None, model: str) -> Tariff | None:
        found = self._find(provider, model)
        if found is None:
            return None
        matched_provider, info = found
        rules = listed_rules(info)
        if not any(rule.prices for rule in rules):
            return None
        return Tariff(provider, model, matched_provider, info.id, "genai-prices", self._data_version, rules)

    def _find(self, provider: str | None, model: str) -> tuple[str, ModelInfo] | None:
        """The entry of the price data: by the whole name first; ``vendor/model`` is split only when that is unknown."""
        if (resource := _VERTEX_RESOURCE.match(model)) is not None:
            model = f"{resource['publisher']}/{resource['model']}"
        folded = (provider or "").lower().strip()
        if folded in LOCAL:
            return None
        home = self._price_list(folded)
        whole = self._look_up(home, model) if home or folded in GATEWAYS else None
        if whole is not None:
            return whole
        rest = model
        while "/" in rest:
            vendor, _, rest = rest.partition("/")
            if vendor.lower() in LOCAL:
                return None
            named = self._price_list(vendor.lower())
            if named is None or (home is not None and home != named and home not in ANY_VENDOR):
                continue
            if (found := self._look_up(named, rest)) is not None:
                return found
        return None

    def _price_list(self, provider: str) -> str | None:
        """Id of the provider whose price list a name (lower case) means, or None."""
        _require()
        from genai_prices.data_snapshot import find_provider_by_id

        if provider in GATEWAYS or provider in LOCAL:
            return None
        for name in (provider, provider.partition(".")[0]):
            if name in PRICE_LIST:
                return PRICE_LIST[name]
            if any(listed.id == name for listed in self._data.providers):
                return name
        found = find_provider_by_id(self._data.providers, provider)
        return found.id if found is not None else None

    def _look_up(self, provider: str | None, model: str) -> tuple[str, ModelInfo] | None:
        if provider is None:
            provider = next((named for start, named in NAMED_BY_MODEL if re.match(start, model, re.IGNORECASE)), None)
        try:
            listed, info = self._data.find_provider_model(model, None, provider, None)
        except LookupError:
            return None
        # A host may sell another provider's models at that provider's prices; the entry says whose.
        owner = next((owner for owner in self._data.providers if any(info is each for each in owner.models)), listed)
        return owner.id, info

    @property
    def _data(self) -> DataSnapshot:
        if self._snapshot is None:
            _require()
            from genai_prices.data import providers
            from genai_prices.data_snapshot import DataSnapshot

            self._snapshot = DataSnapshot(providers=providers, from_auto_update=False)
        return self._snapshot


def _require() -> None:
    try:
        import genai_prices  # noqa: F401
    except ImportError:
        raise MissingExtra("Computing cost", "genai-prices", "server") from None


def listed_rules(info: ModelInfo) -> tuple[Rule, ...]:
    """An entry of the price data as rules."""
    if not isinstance(info.prices, list):
        return (Rule(_prices(info.prices, info.id)),)
    return tuple(_constrained(_prices(each.prices, info.id), each.constraint) for each in info.prices)


def _constrained(prices: dict[str, Tiers], constraint: Any) -> Rule:
    if constraint is None:
        return Rule(prices)
    if (starts := getattr(constraint, "start_date", None)) is not None:
        return Rule(prices, starts=datetime.combine(starts, time(), UTC))
    return Rule(prices, day_from_s=_second_of_day(constraint.start_time), day_to_s=_second_of_day(constraint.end_time))


def _second_of_day(value: time) -> int:
    zone = value.utcoffset()
    return (value.hour * 3600 + value.minute * 60 + value.second - (int(zone.total_seconds()) if zone else 0)) % DAY_S


def _prices(listed: ModelPrice, model: str) -> dict[str, Tiers]:
    """Prices by our classes; empty when the model is priced by nothing that usage counts, or listed without a price."""
    prices = {name: _tiers(value) for name, key in PRICE_KEYS.items() if (value := getattr(listed, key)) is not None}
    if not prices:
        # An entry without prices is either free, as its name then says, or has no known price (delisted, or part of a subscription).
        free = model.endswith(":free") and not any(value is not None for value in vars(listed).values())
        return filled({"input": ((0, 0.0),)}) if free else {}
    return filled(prices)


def _tiers(value: Any) -> Tiers:
    if (tiers := getattr(value, "tiers", None)) is None:
        return ((0, float(value)),)
    return ((0, float(value.base)), *((tier.start, float(tier.price)) for tier in tiers))
