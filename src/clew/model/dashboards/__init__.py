"""Dashboards, declared once: what the UI draws, and what is written for other systems, comes from here."""

from __future__ import annotations

from typing import Final

from clew.model.dashboards import agents, cost, errors, performance, personas, tasks, workflows
from clew.model.dashboards.panel import Dashboard

DASHBOARDS: Final[tuple[Dashboard, ...]] = (
    agents.OVERVIEW,
    tasks.ANALYTICS,
    performance.PERFORMANCE,
    cost.TRACKING,
    errors.ERRORS,
    personas.OVERVIEW,
    workflows.PERFORMANCE,
)

BY_NAME: Final[dict[str, Dashboard]] = {dashboard.name: dashboard for dashboard in DASHBOARDS}

__all__ = ["BY_NAME", "DASHBOARDS", "Dashboard"]
