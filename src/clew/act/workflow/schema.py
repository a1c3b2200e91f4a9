"""The JSON Schema of workflow documents, for editors: the document, with the parameters of every known node type."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

from clew.act.workflow.document import Document
from clew.act.workflow.draft import SUB_WORKFLOW
from clew.act.workflow.nodes.node import NodeType

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

TEMPLATE: Final = {
    "type": "string",
    "pattern": r"\$\{",
    "description": "A template, such as ${node.key} or ${inputs.name}; what it becomes is known at run time.",
}


def schema(types: Mapping[str, type[NodeType]]) -> dict[str, Any]:
    """The schema (draft 2020-12). Where a parameter has another type than text, a template may stand.

    A node type that is not among ``types`` is allowed, with any parameters: an installed package may bring it.
    """
    whole = Document.model_json_schema(by_alias=True)
    definitions: dict[str, Any] = whole.pop("$defs")
    parameters: dict[str, Any] = {}
    for name, type_ in sorted(types.items()):
        model: type[BaseModel] = type_.Params
        params = model.model_json_schema(by_alias=True, ref_template=f"#/$defs/{_key(name)}.{{model}}")
        inner = params.pop("$defs", {})
        definitions[f"{_key(name)}.params"] = _templated({**params, "title": f"Parameters of {name}"})
        definitions |= {f"{_key(name)}.{part}": _templated(definition) for part, definition in inner.items()}
        parameters[name] = {"$ref": f"#/$defs/{_key(name)}.params"}
    node = definitions["Node"]
    node["properties"]["type"] = {"anyOf": [{"enum": sorted(types)}, {"type": "string"}], "title": "Type"}
    node["allOf"] = [
        {
            "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
            "then": {"properties": {"params": reference}} | ({"required": ["params"]} if _required(definitions, name) else {}),
        }
        for name, reference in parameters.items()
    ]
    if "document" in (inline := definitions.get(f"{SUB_WORKFLOW}.params", {}).get("properties", {})):
        inline["document"] = {"$ref": "#", "description": "The workflow itself, instead of a file."}
    definitions["Template"] = TEMPLATE
    found = {"$schema": DIALECT, **whole, "$defs": dict(sorted(definitions.items()))}
    return {**_plain(found), "title": "Clew workflow"}


def _plain(value: Any) -> Any:
    """The schema without titles that only repeat the name of a key, names of keys checked, and prose in Markdown's quotes."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    found: dict[str, Any] = {
        key: {name: _plain(inner) for name, inner in item.items()} if key in ("properties", "$defs", "patternProperties") else _plain(item)
        for key, item in value.items()
        if not (key == "title" and isinstance(item, str))
    }
    if isinstance(found.get("description"), str):
        found["description"] = " ".join(found["description"].replace("``", "`").split())
    if "patternProperties" in found:
        found["additionalProperties"] = False
    return found


def _key(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)


def _required(definitions: Mapping[str, Any], name: str) -> bool:
    return bool(definitions[f"{_key(name)}.params"].get("required"))


_PLACES: Final = ("items", "additionalProperties")


def _templated(definition: dict[str, Any]) -> dict[str, Any]:
    """The schema of a mapping, each of whose values may be a template instead."""
    found = dict(definition)
    for name in _PLACES:
        if isinstance(found.get(name), dict):
            found[name] = _or_template(found[name])
    if "properties" in found:
        found["properties"] = {key: _or_template(value) for key, value in found["properties"].items()}
    return found


def _or_template(definition: dict[str, Any]) -> dict[str, Any]:
    about = {key: value for key, value in definition.items() if key in ("title", "description", "default")}
    bare = {key: value for key, value in definition.items() if key not in about}
    if not bare or bare == {"type": "string"}:
        return definition  # any text is allowed already
    choices = bare["anyOf"] if bare.keys() == {"anyOf"} else [bare]
    choices = [choice if choice == {"type": "string"} else _templated(choice) for choice in choices]
    if {"type": "string"} not in choices:
        choices = [*choices, {"$ref": "#/$defs/Template"}]
    return {**about, "anyOf": choices}
