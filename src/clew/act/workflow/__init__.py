"""Workflow documents: read, checked, compiled onto pocketflow, run, measured and traced."""
