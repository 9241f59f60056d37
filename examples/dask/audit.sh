#!/bin/sh
# A channel's subdir, judged on a Dask cluster: SCHEDULER is the machine of `dask scheduler`.
# On every machine: pip install "conda-prune[dask]"; on each worker, once: dask worker tcp://SCHEDULER:8786
set -eu
: "${SCHEDULER:?the machine of the Dask scheduler}"

# --requests is the number in the whole cluster. --resume goes on where an interrupted run ended.
conda-prune audit conda-forge/linux-64 --dask tcp://$SCHEDULER:8786 --requests 100 --resume -o results.jsonl
