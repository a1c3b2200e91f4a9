"""Prints the server's OpenAPI document, from which the UI's types are made: python web/openapi.py > web/openapi.json."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import Any, cast

from clew.server.app import app

store: Any = SimpleNamespace(on_stored=[])  # routes are described without one
document = app(cast(Any, store)).openapi()
for schema in document["components"]["schemas"].values():  # all are answers, which leave nothing out
    schema["required"] = list(schema.get("properties", ()))
json.dump(document, sys.stdout, indent=1)
