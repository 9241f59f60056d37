"""Tests of conda_prune/audit."""
