"""The catalogue: every metric, declared once. What is exposed, computed in SQL, documented and checked comes from here."""

from __future__ import annotations

from typing import Final

from clew.model.catalogue import agents, genai, orchestrator, own, personas
from clew.model.catalogue.metric import Derived, Label, Metric

CATALOGUE: Final[tuple[Metric, ...]] = (*personas.METRICS, *orchestrator.METRICS, *agents.METRICS, *genai.METRICS, *own.METRICS)

BY_NAME: Final[dict[str, Metric]] = {metric.name: metric for metric in CATALOGUE}

__all__ = ["BY_NAME", "CATALOGUE", "Derived", "Label", "Metric"]
