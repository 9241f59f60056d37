"""What an audit was asked for. It is sent as it is to the process that reads the packages, and to a cluster."""

from __future__ import annotations

from typing import NamedTuple

from ..judgement.options import Options
from ..model import Limits


class Settings(NamedTuple):
    """How packages are read and judged.

    `requests` is the number in flight at most, `retries` the attempts after the first, `timeout` the seconds for
    reading metadata. `backoff` and `first_pause` are the seconds of the first wait after an error and after a refusal.
    `memory` is the bytes that reading may take before it is done again with care; `careful` is that second reading, in
    which no text is held before its size is known.
    """

    options: Options = Options()
    limits: Limits = Limits()
    requests: int = 50
    retries: int = 4
    timeout: float = 60.0
    tar_bz2: bool = False
    download: bool = False
    scratch: str = ""
    backoff: float = 0.5
    first_pause: float = 5.0
    memory: int = 1 << 30
    careful: bool = False
