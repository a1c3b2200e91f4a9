"""Failures as groups: what is alike in them, when they came, and what sets them apart."""
