"""Parses, checks and edits the listings: the files in a package that list its files."""
