"""The clock for tests of how the time grows.

CPU time is not changed by what else runs. Windows counts it in steps of 1/64 s (the page "GetProcessTimes function"
promises no other), which is more than most measurements take, so there, it is the time that has passed.
"""

from __future__ import annotations

import os
import time

cpu_time = time.perf_counter if os.name == "nt" else time.process_time
