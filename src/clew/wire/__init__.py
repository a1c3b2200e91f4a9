"""How records travel: OTLP schema and encodings, segment files, redaction patterns."""
