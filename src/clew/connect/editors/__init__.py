"""Workflow files for editors: prompts by which a coding assistant goes through stages, switches personas, and reports gates."""
