"""Workflow documents: read, checked, compiled onto pocketflow, run, measured and traced."""

from importlib.util import find_spec

from clew.errors import MissingExtra

for _module, _package in (("pocketflow", "pocketflow"), ("pydantic", "pydantic"), ("yaml", "pyyaml")):
    if find_spec(_module) is None:
        raise MissingExtra("A workflow", _package, "workflow")
