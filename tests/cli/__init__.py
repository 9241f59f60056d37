"""Tests of conda_prune.cli."""
