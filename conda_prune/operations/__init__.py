"""What conda-prune does with one package: one use case per module. Here the archive and the judgement meet.

    check.py   read ─ plan ─ Result
    fix.py     read ─ plan ─ recover settings ─ write ─ commit ─ Result
    show.py    read ─ plan ─ Result, Plan and files
    diff.py    two packages ─ Difference, with a reader of its own

`fix_and_reindex.py` is `fix` followed by a refresh of the channel index; `arguments.py` validates the arguments of the
Python API. A module that only one use case needs is imported there: most of the time of a check is start-up time.
"""
