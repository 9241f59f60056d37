"""Which feedstock, the repository of a recipe, a package was built from: `info/about.json` says it.

conda-smithy writes the name into the recipe (`extra.feedstock-name`), and conda-forge's builds name the repository
(`extra.remote_url`); both are copied into the package. Older packages, and those of most other channels, have neither.
"""

from __future__ import annotations

import json
import re

ABOUT = "info/about.json"
LONGEST = 1 << 20
"""Bytes of `info/about.json` that are parsed at most; it has a description, and the packages of the build."""
_REPOSITORY = re.compile(r"/([A-Za-z0-9._-]{1,200})-feedstock(?:\.git)?/?$")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,200}")


def feedstock_of(about: bytes | None) -> str | None:
    """Return the name of a package's feedstock, without `-feedstock`; None if `info/about.json` does not say it."""
    if about is None or len(about) > LONGEST:
        return None
    try:
        extra = json.loads(about)["extra"]
        name, url = extra.get("feedstock-name"), extra.get("remote_url")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name.removesuffix("-feedstock")
    found = _REPOSITORY.search(url) if isinstance(url, str) else None
    return found[1] if found is not None else None
