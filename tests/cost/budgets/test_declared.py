"""The user's file of budgets: what it may say, and how it says what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from clew.cost.budgets import declared
from clew.cost.budgets.budget import Budget
from clew.errors import BudgetError

WHOLE = """
# What a day may cost.
[[budget]]
name = "daily"      # all that this machine spends
usd = 5.0
window = "day"
thresholds = [50, 100]

[[budget]]
name = "agents"
tokens = 20_000
calls = 50
seconds = 600
per = "agent"
agent = "plan*"
hard = false

[runaway]
repeats = 5
hard = false
"""


def test_a_file_says_what_it_declares() -> None:
    found = declared.parse(WHOLE, "budgets.toml")
    daily, agents = found.budgets
    assert (daily.name, daily.limits, daily.window and daily.window.text, daily.thresholds, daily.unpriced) == (
        "daily",
        {"usd": 5.0},
        "day",
        (50.0, 100.0),
        "refuse",
    )
    assert (agents.limits, agents.per, agents.only, agents.hard, agents.unpriced) == (
        {"tokens": 20_000.0, "calls": 50.0, "seconds": 600.0},
        "agent",
        {"agent": "plan*"},
        False,
        "count",
    )
    assert (found.runaway[0].repeats, found.runaway[0].hard) == (5, False)
    assert [Budget.from_json(each.to_json()) for each in found.budgets] == list(found.budgets)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[budget]]\nname = "a"\n\nusd = "much"', "line 4: budget a: usd = 'much' is not usable: expected a number of at least 0"),
        ('[[budget]]\nname = "a"\nusd = -1', "line 3: budget a: usd = -1 is not usable: expected a number of at least 0"),
        ('[[budget]]\nname = "a"\nusd = inf', "line 3: budget a: usd = inf is not usable: expected a number of at least 0"),
        ('[[budget]]\nname = "a"\ncalls = true', "line 3: budget a: calls = True is not usable: expected a number of at least 0"),
        ('[[budget]]\nname = "a"', "line 1: budget a limits nothing; give at least one of tokens, usd, calls, seconds"),
        ("[[budget]]\nusd = 1", "line 1: name = None is not usable: expected a name"),
        ('[[budget]]\nname = "a"\nusd = 1\nper = "team"', "line 4: budget a: per = 'team' is not usable: expected one of run, workflow"),
        ('[[budget]]\nname = "a"\nusd = 1\nwindow = "daily"', "line 4: budget a: window = 'daily' is not usable: expected hour, day"),
        ('[[budget]]\nname = "a"\nusd = 1\nwindow = "9999d"', "line 4: budget a: window = '9999d' is not usable"),
        ('[[budget]]\nname = "a"\nusd = 1\nwindow = 24', "line 4: budget a: window = 24 is not usable"),
        ('[[budget]]\nname = "a"\nusd = 1\nhard = 1', "line 4: budget a: hard = 1 is not usable: expected true or false"),
        ('[[budget]]\nname = "a"\nusd = 1\nthresholds = [0]', "line 4: budget a: thresholds = [0] is not usable: expected percents"),
        (
            '[[budget]]\nname = "a"\nusd = 1\nunpriced = "no"',
            "line 4: budget a: unpriced = 'no' is not usable: expected one of refuse, count",
        ),
        ('[[budget]]\nname = "a"\nusd = 1\nagent = 3', "line 4: budget a: agent = 3 is not usable: expected a name or a pattern"),
        ('[[budget]]\nname = "a"\nusdd = 1', "line 3: usdd is not known; did you mean usd?"),
        ('[[budget]]\nname = "a"\nusd = 1\n[[budget]]\nname = "a"\nusd = 2', "line 5: there is a budget 'a' above; give it another name"),
        ("[runaway]\nrepeats = 0", "line 2: repeats = 0 is not usable: expected a whole number of at least 1"),
        ("[runaway]\nhard = true", "line 1: limits nothing; give at least one of repeats"),
        ("[runaways]\nrepeats = 1", "line 1: runaways is not known; did you mean runaway?"),
        ("budget = 3", "budget is not a list of tables; write [[budget]] above each entry"),
        ("[[budget]\n", "is not TOML"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, said: str) -> None:
    with pytest.raises(BudgetError) as refused:
        declared.parse(text, "budgets.toml")
    assert str(refused.value).startswith("budgets.toml")
    assert said in str(refused.value)


def test_setting_a_limit_keeps_the_rest_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "budgets.toml"
    file.write_text(WHOLE)
    declared.write(file, "daily", {"usd": 7.5, "window": None, "hard": False})
    declared.write(file, "new", {"calls": 3, "agent": 'the "best"'})
    text = file.read_text()
    assert "# What a day may cost." in text
    assert "# all that this machine spends" in text
    assert "[runaway]" in text
    daily, agents, new = declared.parse(text, "budgets.toml").budgets
    assert (daily.limits, daily.window, daily.hard) == ({"usd": 7.5}, None, False)
    assert agents == declared.parse(WHOLE, "x").budgets[1]
    assert (new.limits, new.only) == ({"calls": 3.0}, {"agent": 'the "best"'})


def test_a_change_that_cannot_be_is_not_written(tmp_path: Path) -> None:
    file = tmp_path / "budgets.toml"
    file.write_text(WHOLE)
    with pytest.raises(BudgetError, match="limits nothing"):
        declared.write(file, "daily", {"usd": None})
    assert file.read_text() == WHOLE


def test_the_projects_file_comes_before_that_of_the_data_directory(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('[[budget]]\nname = "x"\nusd = 1\n[[budget]]\nname = "y"\nusd = 1\n')
    (tmp_path / "b.toml").write_text('[[budget]]\nname = "x"\nusd = 2\n[[budget]]\nname = "z"\nusd = 2\n')
    found = declared.read_all([tmp_path / "a.toml", tmp_path / "none.toml", tmp_path / "b.toml"])
    assert {each.name: each.limits["usd"] for each in found.budgets} == {"x": 1.0, "y": 1.0, "z": 2.0}
