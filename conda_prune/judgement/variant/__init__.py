"""Decides which Python a package is for, from the evidence in its metadata."""
