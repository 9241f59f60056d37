"""What conda-prune does with one package, one use case per module. Here the archive and the judgement meet.

    check.py   read ─ plan ─ Result
    fix.py     read ─ plan ─ recover settings ─ write ─ commit ─ Result
    show.py    read ─ plan ─ everything that is known
    diff.py    two packages ─ the differences, by a reader of its own

`fix_and_reindex.py` is `fix` and a refresh of the channel index; `arguments.py` checks what Python callers pass.
What only one use case needs is imported there: most of the time of a check is spent on starting.
"""
