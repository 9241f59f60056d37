"""Faults on purpose: failing system calls, sudden death, lost writes, flipped bits."""
