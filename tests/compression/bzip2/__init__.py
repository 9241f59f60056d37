"""Tests of conda_prune.compression.bzip2."""
