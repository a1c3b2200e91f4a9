"""Quality gates: checks that a run must pass, or that it is told about."""
