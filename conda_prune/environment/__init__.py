"""A prefix that a build made, and an environment that is installed: files on disk instead of members of a package."""
