"""Tests of conda_prune.report."""
