"""Tests of conda_prune.archive."""
