"""Tests of conda_prune.channel."""
