"""The server: what programs send to, and what the user interface and other people's tools read from."""
