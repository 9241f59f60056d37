"""Which Python a package is for: evidence from its metadata, weighed."""
