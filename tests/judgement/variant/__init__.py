"""Tests of conda_prune.judgement.variant."""
