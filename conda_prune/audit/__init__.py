"""Whole channels: what their packages hold, judged from metadata, one JSON line per package.

`sources` lists the packages, `reader` reads them in a process of its own, `process` looks after that process and has
`texts` judge what it read, `results` keeps the file.
"""
