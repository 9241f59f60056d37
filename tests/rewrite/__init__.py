"""Tests of conda_prune.rewrite."""
