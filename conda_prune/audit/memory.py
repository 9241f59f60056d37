"""How much memory this process takes, where the system says so without a library: Linux, macOS, Windows."""

from __future__ import annotations

import os
import sys

KNOWN = sys.platform in ("linux", "darwin", "win32")
"""Whether `resident` knows it; elsewhere packages are always read with care."""
_PAGE = os.sysconf("SC_PAGE_SIZE") if sys.platform != "win32" else 4096


def resident() -> int:
    """Return the bytes of memory that this process takes; on macOS the most that it ever took. 0 if not known."""
    if sys.platform == "linux":
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if sys.platform == "win32":
        from .. import windows

        return windows.resident()
    return 0
