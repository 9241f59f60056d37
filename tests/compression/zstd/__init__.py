"""Tests of conda_prune.compression.zstd."""
