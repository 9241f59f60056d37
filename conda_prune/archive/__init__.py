"""Reads and rewrites packages as archives; knows nothing of Python, rules or variants."""
