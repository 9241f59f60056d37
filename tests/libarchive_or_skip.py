"""libarchive for tests that read with it. Their modules are skipped where the system does not have it."""

from __future__ import annotations

import pytest

__all__ = ["libarchive"]

try:
    import libarchive
except (ImportError, OSError, AttributeError, TypeError):  # What its Python binding raises differs between systems.
    pytest.skip("this system has no libarchive", allow_module_level=True)
