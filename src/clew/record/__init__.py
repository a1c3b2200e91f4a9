"""The bridge: recorder, context, processors, spool, export, OpenTelemetry bridge, instruments."""
