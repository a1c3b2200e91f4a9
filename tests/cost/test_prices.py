"""Which price stands for a provider and model of the records."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.cost.prices import PriceBook
from clew.cost.providers import GATEWAYS, LOCAL, PRICE_LIST
from clew.cost.tariff import cost
from clew.errors import MissingExtra, PriceError, SettingError
from clew.model.usage import Usage

pytestmark = pytest.mark.needs("genai_prices")

BOOK = PriceBook()

SPLIT = "anthropic/claude-3-7-sonnet-latest"
MATCHES: list[tuple[str | None, str, tuple[str, str] | None]] = [
    ("openai", "gpt-4o", ("openai", "gpt-4o")),
    (None, "gpt-4o", ("openai", "gpt-4o")),
    ("", "gpt-4o", ("openai", "gpt-4o")),
    # Each convention has its own name for the same provider.
    ("aws.bedrock", "anthropic.claude-3-haiku-20240307-v1:0", ("aws", "regional.anthropic.claude-3-haiku-20240307-v1:0")),
    ("gcp.vertex_ai", "gemini-2.5-pro", ("google", "gemini-2.5-pro")),
    ("google.generative-ai", "gemini-2.5-pro", ("google", "gemini-2.5-pro")),
    ("x_ai", "grok-4", ("x-ai", "grok-4-0709")),
    ("mistral_ai", "mistral-large-latest", ("mistral", "mistral-large")),
    ("openai.responses", "gpt-4o", ("openai", "gpt-4o")),
    # Azure sells OpenAI's models at OpenAI's price: the entry says whose list it is.
    ("azure.ai.openai", "gpt-4o", ("openai", "gpt-4o")),
    # A gateway's name is split only when the whole is unknown.
    ("openrouter", "anthropic/claude-3.7-sonnet", ("openrouter", "anthropic/claude-3.7-sonnet")),
    ("together_ai", "meta-llama/Llama-3.3-70B-Instruct-Turbo", ("together", "meta-llama/Llama-3.3-70B-Instruct-Turbo")),
    (None, SPLIT, ("anthropic", "claude-3-7-sonnet-latest")),
    ("openai", SPLIT, ("anthropic", "claude-3-7-sonnet-latest")),
    ("anthropic", SPLIT, ("anthropic", "claude-3-7-sonnet-latest")),
    ("litellm", SPLIT, ("anthropic", "claude-3-7-sonnet-latest")),
    ("a-proxy-of-ours", SPLIT, ("anthropic", "claude-3-7-sonnet-latest")),
    (None, "openrouter/anthropic/claude-3.7-sonnet", ("openrouter", "anthropic/claude-3.7-sonnet")),
    (None, "proxy/google/gemini-2.5-flash", ("google", "gemini-2.5-flash")),
    (None, "models/gemini-2.0-flash", ("google", "gemini-2.0-flash")),
    (None, "us.anthropic.claude-3-5-sonnet-20241022-v2:0", ("aws", "regional.anthropic.claude-3-5-sonnet-20241022-v2:0")),
    (None, "ft:gpt-4o-2024-08-06:org::abc", ("openai", "ft:gpt-4o")),
    (None, "qwen/qwen3-coder:free", None),
    ("openrouter", "qwen/qwen3-coder:free", ("openrouter", "qwen/qwen3-coder:free")),
    # Never by a guess.
    ("openai", "gpt-9-unheard-of", None),
    ("a-proxy-of-ours", "gpt-4o", None),
    ("groq", "deepseek/deepseek-chat", None),
    ("ollama", "deepseek-r1", None),
    (None, "ollama/deepseek-r1", None),
    # Priced by the hour, or listed as part of a subscription: no price per token is known.
    ("openai", "whisper-1", None),
    ("github-copilot", "gpt-4o", None),
]


@pytest.mark.parametrize(("provider", "model", "expected"), MATCHES)
def test_a_model_is_found_as_it_stands_in_the_records(provider: str | None, model: str, expected: tuple[str, str] | None) -> None:
    tariff = BOOK.tariff(provider, model)
    if expected is None:
        assert tariff is None
        return
    assert tariff is not None
    assert (tariff.provider, tariff.model) == (provider, model)
    assert (tariff.matched_provider, tariff.matched_model) == expected
    assert tariff.source == "genai-prices"
    assert tariff.version.startswith("genai-prices ")


def test_every_row_of_the_provider_table_leads_to_a_price_list() -> None:
    from genai_prices.data import providers

    ids = {listed.id for listed in providers}
    assert {name: listed for name, listed in PRICE_LIST.items() if listed not in ids} == {}
    assert [name for name in (*PRICE_LIST, *GATEWAYS, *LOCAL) if name != name.lower()] == []


@given(st.none() | st.text(max_size=20), st.text(max_size=40) | st.from_regex(r"[a-z/.:-]{1,20}/[a-z0-9/.:-]{1,20}", fullmatch=True))
def test_any_name_has_a_price_or_none(provider: str | None, model: str) -> None:
    tariff = BOOK.tariff(provider, model)
    assert tariff is None or any(rule.prices for rule in tariff.rules)


def test_prices_are_never_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("network")

    monkeypatch.setattr(socket, "socket", refuse)
    assert PriceBook().tariff("openai", "gpt-4o") is not None


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    with pytest.raises(MissingExtra, match=r"genai-prices.*pip install 'clew\[server\]'"):
        PriceBook().tariff("openai", "gpt-4o")


def test_price_data_is_loaded_only_when_it_is_asked_for() -> None:
    code = "import sys; from clew.cost.prices import PriceBook; PriceBook(); sys.exit('genai_prices' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_an_override_stands_above_the_price_data_and_says_so(tmp_path: Path) -> None:
    file = write(tmp_path / "prices.toml", '[[price]]\nmodel = "GPT-4o"\nprovider = "openai"\ninput = 1.0\noutput = 2\n')
    os.utime(file, (1_767_225_600, 1_767_225_600))
    book = PriceBook(file)
    tariff = book.tariff("openai", "gpt-4o")
    assert tariff is not None
    assert (tariff.source, tariff.version) == ("override", "prices.toml 2026-01-01")
    assert (tariff.matched_provider, tariff.matched_model) == ("openai", "GPT-4o")
    (rule,) = tariff.rules
    assert rule.source == "override"
    assert rule.prices == {
        **dict.fromkeys(("input", "cache_read", "cache_write", "cache_write_1h", "audio_input"), ((0, 1.0),)),
        **dict.fromkeys(("output", "reasoning", "audio_output"), ((0, 2.0),)),
        "request": ((0, 0.0),),
    }
    azure = book.tariff("azure", "gpt-4o")
    assert azure is not None
    assert azure.source == "genai-prices"
    assert book.version.endswith(", prices.toml 2026-01-01")


def test_a_dated_override_applies_only_from_its_start(tmp_path: Path) -> None:
    from datetime import UTC, datetime, timedelta

    from clew.cost.tariff import cost
    from clew.model.usage import Usage

    text = "".join(
        f'[[price]]\nmodel = "{model}"\nstarts = {start}\ninput = {price}\noutput = 0\n'
        for model, start, price in (("gpt-4o", "2026-06-01", 9), ("gpt-4o", "2026-03-01", 8), ("mine", "2026-03-01T12:00:00+02:00", 7))
    )
    book = PriceBook(write(tmp_path / "prices.toml", text))
    usage = Usage(input_tokens=1_000_000, output_tokens=0)
    listed, mine = book.tariff("openai", "gpt-4o"), book.tariff("acme", "mine")
    assert listed is not None
    assert mine is not None

    def on(*when: int) -> datetime:
        return datetime(*when, tzinfo=UTC)  # type: ignore[misc,arg-type]

    assert [cost(usage, listed, at) for at in (on(2026, 2, 28), on(2026, 3, 1), on(2026, 6, 1))] == [2.5, 8.0, 9.0]
    assert [listed.rule_at(at).source for at in (on(2026, 2, 28), on(2026, 3, 1))] == ["genai-prices", "override"]
    start = on(2026, 3, 1, 10)
    assert cost(usage, mine, start - timedelta(seconds=1)) is None
    assert cost(usage, mine, start) == 7.0


def test_overrides_match_whole_names_prefixes_and_patterns(tmp_path: Path) -> None:
    text = "".join(
        f"[[price]]\nmodel = '{model}'\nmatch = '{match}'\ninput = {price}\noutput = 0\n"
        for model, match, price in (("house-", "prefix", 1), (r"^lab-\d+$", "regex", 2), ("house-large", "exact", 3))
    )
    book = PriceBook(write(tmp_path / "prices.toml", text))

    def price(model: str) -> float | None:
        tariff = book.tariff("ollama", model)
        return tariff.rules[-1].prices["input"][0][1] if tariff else None

    names = ("house-small", "HOUSE-large", "lab-42", "lab-x", "a-house-")
    assert {name: price(name) for name in names} == {"house-small": 1.0, "HOUSE-large": 3.0, "lab-42": 2.0, "lab-x": None, "a-house-": None}


def test_a_default_price_is_for_models_without_one(tmp_path: Path) -> None:
    book = PriceBook(write(tmp_path / "prices.toml", "[default_price]\ninput = 0.15\noutput = 0.6\n"))
    unknown, known = book.tariff("acme", "nobody-knows"), book.tariff("openai", "gpt-4o")
    assert unknown is not None
    assert known is not None
    assert (unknown.source, unknown.matched_model) == ("override", "default_price")
    assert known.source == "genai-prices"


def test_tiers_of_an_override(tmp_path: Path) -> None:
    text = '[[price]]\nmodel = "m"\ninput = 3\noutput = 15\ntiers = [{ above = 400000, input = 9 }, { above = 200000, input = 6, output = 22.5 }]\n'
    tariff = PriceBook(write(tmp_path / "prices.toml", text)).tariff(None, "m")
    assert tariff is not None
    assert tariff.rules[0].prices["input"] == ((0, 3.0), (200_000, 6.0), (400_000, 9.0))
    assert tariff.rules[0].prices["cache_read"] == ((0, 3.0), (200_000, 6.0), (400_000, 9.0))
    assert tariff.rules[0].prices["output"] == ((0, 15.0), (200_000, 22.5))


def test_the_fingerprint_follows_the_content(tmp_path: Path) -> None:
    file = write(tmp_path / "prices.toml", "")
    empty = PriceBook(file).fingerprint
    assert PriceBook(file).fingerprint == empty
    assert PriceBook().fingerprint == empty  # an empty file changes no tariff
    write(file, "[default_price]\ninput = 1\noutput = 1\n")
    assert PriceBook(file).fingerprint != empty


def test_the_settings_name_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert PriceBook.from_settings(tmp_path).tariff("acme", "m") is None
    write(tmp_path / "prices.toml", '[[price]]\nmodel = "m"\ninput = 1\noutput = 1\n')
    assert PriceBook.from_settings(tmp_path).tariff("acme", "m") is not None
    monkeypatch.setenv("CLEW_PRICES", str(tmp_path / "absent.toml"))
    with pytest.raises(PriceError, match=r"absent\.toml cannot be read: No such file"):
        PriceBook.from_settings(tmp_path)


ENTRY = '[[price]]\nmodel = "m"\ninput = 1\noutput = 2\n'
REFUSED = {
    "input = 1 =": "is not TOML",
    "[[prices]]": "unknown key 'prices'; did you mean price?",
    "price = 3": "price is not a list of tables; write [[price]] above each entry",
    "default_price = 3": "default_price is not a table",
    "[[price]]\ninput = 1": "price 1: model = None is not usable",
    '[[price]]\nmodel = "m"\noutput = 1': "price 1 (m): input is missing; write input = <USD per million tokens>",
    f"{ENTRY}{ENTRY.replace('output = 2', 'output = -2')}": "price 2 (m): output = -2 is not usable",
    f'{ENTRY}cache_read = "1"': "price 1 (m): cache_read = '1' is not usable",
    f"{ENTRY}cache_read = true": "price 1 (m): cache_read = True is not usable",
    f"{ENTRY}cache_read = nan": "price 1 (m): cache_read = nan is not usable",
    f"{ENTRY}cache_read = inf": "price 1 (m): cache_read = inf is not usable",
    f"{ENTRY}cached_read = 1": "price 1 (m): unknown key 'cached_read'; did you mean cache_read?",
    f"{ENTRY}zzz = 1": "price 1 (m): unknown key 'zzz'; known are model, provider, match, starts",
    f'{ENTRY}match = "glob"': "price 1 (m): match = 'glob' is not usable; expected one of exact, prefix, regex",
    f"{ENTRY}provider = 3": "price 1 (m): provider = 3 is not usable",
    f'{ENTRY}starts = "2026-01-01"': "price 1 (m): starts = '2026-01-01' is not usable; expected a date without quotes",
    f"{ENTRY}tiers = 3": "price 1 (m): tiers is not a list of tables",
    f"{ENTRY}tiers = [{{ above = 0, input = 1 }}]": "price 1 (m): tier 1: above = 0 is not usable",
    f"{ENTRY}tiers = [{{ over = 5, input = 1 }}]": "price 1 (m): tier 1: unknown key 'over'",
    f"{ENTRY}tiers = [{{ above = 5, reasoning = 1 }}]": "price 1 (m): the tier above 5 prices reasoning, which has no base price",
    '[[price]]\nmodel = "("\nmatch = "regex"\ninput = 1\noutput = 2': "price 1 ((): model is not a regular expression",
}  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_a_file_that_cannot_be_used_names_the_place_and_the_next_step(tmp_path: Path, text: str) -> None:
    file = write(tmp_path / "prices.toml", text)
    with pytest.raises(PriceError) as refused:
        PriceBook(file)
    assert str(file) in str(refused.value)
    assert REFUSED[text] in str(refused.value)


@given(content=st.binary(max_size=60) | st.text(max_size=60).map(lambda text: f"{ENTRY}{text}".encode()))
def test_any_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "prices.toml"
    file.write_bytes(content)
    with contextlib.suppress(PriceError):
        assert PriceBook(file).tariff("ollama", "nobody-knows") is None


def test_the_setting_default_price_is_for_models_without_a_price(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unset = PriceBook.from_settings(tmp_path)
    assert unset.tariff("openai", "nobody-knows-1") is None
    monkeypatch.setenv("CLEW_DEFAULT_PRICE", "0.15/0.60")
    book = PriceBook.from_settings(tmp_path)
    tariff = book.tariff("openai", "nobody-knows-1")
    assert tariff is not None
    assert (tariff.source, tariff.matched_model, tariff.version) == ("override", "default_price", "default price 0.15/0.6")
    usage = Usage(input_tokens=1_000_000, output_tokens=1_000_000)
    assert cost(usage, tariff, datetime(2026, 1, 1, tzinfo=UTC)) == 0.75
    known = book.tariff("openai", "gpt-4o-mini")
    assert known is not None
    assert known.source == "genai-prices"
    assert book.fingerprint != unset.fingerprint


@pytest.mark.parametrize("text", ["0.15", "cheap/dear", "-1/2", "1/inf", ""])
def test_a_default_price_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("CLEW_DEFAULT_PRICE", text)
    with pytest.raises(SettingError, match="expected two prices, input/output"):
        PriceBook.from_settings(tmp_path)


@pytest.mark.parametrize("place", ["projects/p/locations/europe-west1/publishers", "publishers"])
def test_the_resource_name_of_a_model_at_vertex_is_the_model(place: str) -> None:
    for provider in (None, "gcp.vertex_ai"):
        tariff = PriceBook().tariff(provider, f"{place}/google/models/gemini-2.5-flash@001")
        assert tariff is not None
        assert (tariff.matched_provider, tariff.matched_model) == ("google", "gemini-2.5-flash")
