"""Where each editor looks for prompts that a user starts by name, and what it expects in them. As documented by their makers in November 2026.

| editor | place | source |
|---|---|---|
| Augment (CLI and extensions) | ``.augment/commands/NAME.md`` | docs.augmentcode.com/cli/custom-commands |
| Cline | ``.clinerules/workflows/NAME.md`` | docs.cline.bot/features/slash-commands/workflows |
| GitHub Copilot in VS Code | ``.github/prompts/NAME.prompt.md`` | code.visualstudio.com/docs/copilot/customization/prompt-files |
| Claude Code | ``.claude/commands/NAME.md`` | code.claude.com/docs/en/slash-commands |
| Cursor | ``.cursor/commands/NAME.md`` | cursor.com/docs/agent/chat/commands |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Editor:
    """How one editor takes a prompt.

    :ivar place: path of the file below the project's directory; ``{name}`` is the workflow's
    :ivar invoked: what the user types
    :ivar front: keys of the YAML front matter beside ``description``; None: it takes none
    :ivar asked: what stands for the text that the user typed behind the name
    """

    name: str
    title: str
    place: str
    invoked: str
    front: Mapping[str, str] | None = field(default=None)
    asked: str = "what the user wrote with this command"


_TABLE: Final = (
    Editor("augment", "Augment", ".augment/commands/{name}.md", "/{name}", {"argument-hint": "[{asks}]"}, "$ARGUMENTS"),
    Editor("cline", "Cline", ".clinerules/workflows/{name}.md", "/{name}.md"),
    Editor(
        "copilot",
        "GitHub Copilot",
        ".github/prompts/{name}.prompt.md",
        "/{name}",
        {"agent": "agent", "argument-hint": "{asks}"},
        "${input:task:{asks}}",
    ),
    Editor(
        "claude",
        "Claude Code",
        ".claude/commands/{name}.md",
        "/{name}",
        {
            "argument-hint": "[{asks}]",
            "allowed-tools": "Bash(clew persona:*), Bash(clew stage:*), Bash(clew gate pass:*), Bash(clew gate fail:*), Bash(clew workflows:*)",
        },
        "$ARGUMENTS",
    ),
    Editor("cursor", "Cursor", ".cursor/commands/{name}.md", "/{name}"),
)

EDITORS: Final[Mapping[str, Editor]] = {editor.name: editor for editor in _TABLE}
