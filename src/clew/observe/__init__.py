"""The observing wing: ingest, store, query. Never imports the recorder."""
