"""Git as an instrument: spans for code that runs git itself, and a repository whose operations are run and recorded."""
