"""The acting wing: what runs workflows and agents. It reports through the recorder alone and never reads the store."""
