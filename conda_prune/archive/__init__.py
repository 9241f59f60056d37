"""Reads packages as archives and writes them again; knows nothing of Python, rules or variants."""
