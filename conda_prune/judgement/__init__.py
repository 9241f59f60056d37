"""Decides which files are dropped and what else changes: pure functions, without file access, clock or output."""
