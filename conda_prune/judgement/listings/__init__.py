"""The files inside a package that list its files: what they say, whether it is true, and how they are edited."""
