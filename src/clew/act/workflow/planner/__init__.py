"""From words to a workflow: a model chooses a known one or writes a new one; nothing runs without consent."""
