"""Tests of conda_prune.operations."""
