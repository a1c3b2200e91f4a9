"""Clew: record a program made of agents, keep the record, and read it back."""
