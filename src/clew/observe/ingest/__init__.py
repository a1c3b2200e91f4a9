"""OTLP files and spool segments into the store, each record once."""
