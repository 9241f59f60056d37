"""Build prefixes and installed environments: the same judgement for files on disk instead of members of a package."""
