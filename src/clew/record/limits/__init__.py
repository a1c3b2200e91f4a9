"""Limits at work: budgets, loops and fan-out, seen at the one seam that every span passes."""
