"""Tests of conda_prune.environment."""
