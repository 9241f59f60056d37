"""Conda packages made from descriptions, for the tests.

Nothing in here imports conda_prune: what the corpus expects is written by hand,
so that tool and corpus cannot share a mistake.
"""
