"""What the server and the systems beside it use: measured now and then, and kept as points."""
