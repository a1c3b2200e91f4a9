"""Persona profiles: those that come with Clew, and what a user's file makes of them."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from clew.errors import PersonaError
from clew.record.instruments.personas import profiles as module
from clew.record.instruments.personas.profiles import Profile, profile, profiles

BUDGETS = {
    "backend-engineer": 2000,
    "frontend-engineer": 1800,
    "devops-engineer": 1800,
    "testing-specialist": 1500,
    "observability-expert": 2000,
    "data-scientist": 1700,
}


def write(data_dir: Path, text: str) -> Path:
    data_dir.mkdir(exist_ok=True)
    path = data_dir / "personas.toml"
    path.write_text(text, "utf-8")
    return path


def test_the_default_budgets_are_those_of_the_six_personas(data_dir: Path) -> None:
    found = profiles()
    assert {name: row.tokens for name, row in found.items()} == BUDGETS
    assert all(row.about and not row.hard and row.window == "" for row in found.values()), "soft, and everybody's own"


def test_a_users_file_changes_a_persona_key_by_key_and_adds_others(data_dir: Path) -> None:
    path = write(data_dir, '[backend-engineer]\ntokens = 5000\n\n[writer]\nabout = "Writes."\ntokens = 10\nwindow = "day"\nhard = true\n')
    found = profiles()
    assert (found["backend-engineer"].tokens, found["backend-engineer"].about) == (
        5000,
        module.profiles(data_dir)["backend-engineer"].about,
    )
    assert found["writer"] == Profile("writer", "Writes.", 10, "day", True, str(path))
    assert [*found] == [*BUDGETS, "writer"]


def test_another_file_may_be_named(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(data_dir, "[not-read]\n")
    named = tmp_path / "mine.toml"
    named.write_text("[mine]\n")
    monkeypatch.setenv("CLEW_PERSONAS", str(named))
    assert [*profiles()][-1] == "mine"
    assert "not-read" not in profiles()
    named.unlink()
    with pytest.raises(PersonaError, match=r"mine.toml cannot be read: No such file or directory; create it, or unset CLEW_PERSONAS"):
        profiles()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[", "is not TOML"),
        ("backend = 5", "backend = 5 is not a persona; write [backend] above its keys"),
        ('["a b"]', "'a b' cannot be a persona's name"),
        ("[a]\ntoken = 5", "a has a key 'token'; there are about, tokens, window, hard"),
        ("[a]\ntokens = -1", "a: tokens = -1 is not usable; expected a whole number of at least 0"),
        ("[a]\ntokens = true", "a: tokens = True is not usable"),
        ('[a]\nwindow = "fortnight"', "a: window = 'fortnight' is not usable; expected one of"),
        ('[a]\nhard = "no"', "a: hard = 'no' is not usable; expected true or false"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_value(data_dir: Path, text: str, complaint: str) -> None:
    path = write(data_dir, text)
    with pytest.raises(PersonaError) as caught:
        profiles()
    assert complaint in str(caught.value)
    assert str(path) in str(caught.value)


def test_an_unknown_persona_is_named_with_the_nearest_and_the_next_step(data_dir: Path) -> None:
    for asked, near in (("backend", "backend-engineer"), ("testing-specialst", "testing-specialist")):
        with pytest.raises(PersonaError) as caught:
            profile(asked)
        assert str(caught.value) == (
            f"there is no persona {asked!r}; did you mean {near}? A new one is a table in {data_dir / 'personas.toml'}"
        )
    with pytest.raises(PersonaError, match="there are backend-engineer, frontend-engineer"):
        profile("zzz")


def test_each_key_of_the_file_is_a_field_of_the_profile() -> None:
    assert {field.name for field in fields(Profile)} == {"name", "source", *module._CHECKS}
