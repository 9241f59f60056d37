"""What holds for every test: no example of hypothesis fails for being slow, on a machine that others use too."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
