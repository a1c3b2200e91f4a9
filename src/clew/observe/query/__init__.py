"""Questions to the store: runs, traces, search, costs, SQL."""
