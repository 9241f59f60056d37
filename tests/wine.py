"""Whether Windows is Wine, which lacks some of what Windows does. A skip that asks this names the call that differs."""

from __future__ import annotations

import os


def is_wine() -> bool:
    """Return whether this is Wine, whose ntdll.dll exports its version."""
    if os.name != "nt":
        return False
    import ctypes

    return hasattr(ctypes.windll.ntdll, "wine_get_version")  # type: ignore[attr-defined,unused-ignore]


IS_WINE = is_wine()
