"""Whole channels: what their packages hold, judged from metadata, one JSON line per package.

`sources` lists the packages, `reader` reads and judges them in a process of its own, `process` looks after that
process, `results` keeps the file.
"""
