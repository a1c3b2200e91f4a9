"""Personas: who acts in a workflow, in which mode, in which stage, and how much of its token budget is left."""
