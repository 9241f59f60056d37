#!/usr/bin/env bash
set -euo pipefail

"$PYTHON" -m pip install . -vv --no-deps --no-build-isolation

# Last, so that it sees everything that will be packed.
conda-prune prefix --fix
