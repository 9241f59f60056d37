"""Prints results as text, JSON, SARIF and GitHub annotations. All formats show the same facts."""
