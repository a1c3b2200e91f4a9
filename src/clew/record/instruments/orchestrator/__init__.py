"""Instruments for an orchestrator of agents: git, tasks, model requests, the dispatch loop."""
