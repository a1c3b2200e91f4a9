"""The server tells how budgets stand, and never writes to their ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clew.cost.budgets.budget import budget
from clew.cost.budgets.ledger import Charge, Ledger

pytestmark = pytest.mark.needs("chdb", "fastapi", "httpx")


def test_budgets_are_told_with_what_was_spent_of_them(store: Any) -> None:
    from fastapi.testclient import TestClient

    from clew.server.app import app

    folder: Path = store.data_dir
    (folder / "budgets.toml").write_text('[[budget]]\nname = "daily"\nusd = 5\nwindow = "day"\n')
    with TestClient(app(store)) as client:
        before = client.get("/api/v1/budgets").json()
        assert (before["ledger"], [(state["name"], state["remaining"]) for state in before["budgets"]]) == (
            "none",
            [("daily", {"usd": 5.0})],
        )
        assert not (folder / "budgets.sqlite").exists()
        ledger = Ledger(folder / "budgets.sqlite")
        ledger.settle(None, [Charge(budget({"name": "agents", "tokens": 100, "per": "agent"}, "test"), "planner", {"tokens": 130.0})])
        after = client.get("/api/v1/budgets").json()
        (state,) = [state for state in after["budgets"] if state["name"] == "agents"]
        assert (after["ledger"], state["key"], state["remaining"], state["percent"]) == (
            "ok",
            "planner",
            {"tokens": -30.0},
            {"tokens": 130.0},
        )
        assert state["fired"] == [["tokens", 80.0], ["tokens", 95.0], ["tokens", 100.0]]
        assert [each["name"] for each in client.get("/api/v1/budgets?name=daily").json()["budgets"]] == ["daily"]
        ledger.close()
        (folder / "budgets.sqlite").write_bytes(b"damaged" * 1000)
        for rest in ("-wal", "-shm"):
            (folder / f"budgets.sqlite{rest}").unlink(missing_ok=True)
        assert "is damaged" in client.get("/api/v1/budgets").json()["ledger"]
        (folder / "budgets.toml").write_text("[[budget]]\n")
        wrong = client.get("/api/v1/budgets")
        assert (wrong.status_code, "line 1: name = None is not usable" in wrong.text) == (500, True)
