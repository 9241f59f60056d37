"""Turns results into text for people and JSON for programs: the same facts in each."""
