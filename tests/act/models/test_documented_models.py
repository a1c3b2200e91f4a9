"""docs/models.md names every kind of model, its examples are sound, and the exchange that it shows is one that can be replayed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic_ai import messages as pa
from pydantic_ai.models import ModelRequestParameters

from clew.act.workflow.check import problems
from clew.act.workflow.completion import complete
from clew.act.workflow.models.names import KINDS, PROVIDERS, model
from clew.act.workflow.models.replay import SETTINGS
from clew.act.workflow.registry import node_types
from clew.act.workflow.source import parsed

PAGE = (Path(__file__).parents[3] / "docs" / "models.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_every_kind_of_model_is_named_with_its_key_and_address() -> None:
    rows = dict(re.findall(r"^\| `(\w+):\w+` \|(.*)\|$", PAGE, re.MULTILINE))
    assert list(rows) == list(KINDS)
    for kind, provider in PROVIDERS.items():
        assert (provider.base_url or provider.key) in rows[kind]


def test_every_setting_of_a_request_is_named() -> None:
    (row,) = re.findall(r"^\| `request\.settings` \|(.*)\|$", PAGE, re.MULTILINE)
    assert re.findall(r"`(\w+)`", row) == list(SETTINGS)


@pytest.mark.parametrize("example", blocks("yaml"))
def test_the_examples_are_sound(example: str) -> None:
    assert [str(problem) for problem in problems(parsed(example), node_types())] == []


def test_the_shown_exchange_can_be_replayed(tmp_path: Path) -> None:
    (exchange,) = blocks("json")
    (tmp_path / "exchanges.jsonl").write_text(exchange)

    async def ask() -> str | None:
        async with model(f"replay:{tmp_path / 'exchanges.jsonl'}") as found:
            request: list[pa.ModelMessage] = [pa.ModelRequest.user_text_prompt("Name three rivers.")]
            return (await found.request(request, None, ModelRequestParameters())).text

    assert complete(ask()) == "Elbe, Oder, Spree."
