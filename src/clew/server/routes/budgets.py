"""Budgets: limits, and what was spent of them. Only read: the processes that spend keep the ledger."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from clew.cost.budgets import figures
from clew.observe.store.store import Store
from clew.server.served import Asking

router = APIRouter(prefix="/api/v1/budgets")


@router.get("", response_model=figures.Budgets)
async def list_budgets(
    asking: Asking, name: Annotated[str | None, Query(max_length=200, description="Only the budget of that name.")] = None
) -> Response:
    """Every budget that is declared or was used, with limit, spent, reserved and remaining for each of its accounts.

    Amounts are by measure: tokens, usd, calls, seconds. Times are seconds since 1970. A negative remainder is an overspend.
    """
    return await asking.reply(_known, name=name)


def _known(store: Store, name: str | None) -> figures.Budgets:
    return figures.known(store.data_dir, name=name)
