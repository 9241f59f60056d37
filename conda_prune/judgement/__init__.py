"""Judges what may go and what must stay: pure, without files, clocks, environment or printing."""
