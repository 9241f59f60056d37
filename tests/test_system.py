"""Two files are swapped in one step, and waiting for another run is announced."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conda_prune import system
from conda_prune.rewrite.lock_wait import holder_of
from conda_prune.rewrite.staging import Staging


def test_files_are_swapped_or_left_alone(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("1")
    other.write_text("2")
    if not system.exchange(str(one), str(other)):
        pytest.skip("this system or file system cannot swap two files")
    assert (one.read_text(), other.read_text()) == ("2", "1")
    assert not system.exchange(str(one), str(tmp_path / "missing"))
    assert one.read_text() == "2"


def test_waiting_for_another_run_is_announced(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    name, shown = ("a.conda", "a.conda") if os.name == "nt" else ("a\x1b[31m.conda", r"a\x1b[31m.conda")
    target = tmp_path / name
    script = "import sys, time; from conda_prune.rewrite.staging import Staging\n"
    script += "with Staging(sys.argv[1], sys.argv[1]): print(flush=True); time.sleep(1.7)"
    holder = subprocess.Popen([sys.executable, "-c", script, target], stdout=subprocess.PIPE)
    assert holder.stdout
    holder.stdout.readline()
    started = time.monotonic()
    with Staging(str(target), str(target)):
        assert time.monotonic() - started > 1
    holder.wait()
    message = capfd.readouterr().err
    assert message.startswith("waiting for ")
    assert message.endswith(f"which is working on {tmp_path}{os.sep}{shown}\n")


@pytest.mark.skipif(
    sys.platform != "linux" or not os.path.exists("/proc/locks"), reason="only Linux says who holds a lock"
)
def test_the_holder_of_a_lock_is_known(tmp_path: Path) -> None:
    import fcntl

    path = tmp_path / "locked"
    with open(path, "w") as file:
        assert holder_of(str(path)) is None
        fcntl.flock(file, fcntl.LOCK_EX)
        assert holder_of(str(path)) == os.getpid()
    assert holder_of(str(path)) is None
    assert holder_of(str(tmp_path / "missing")) is None
