"%PYTHON%" -m pip install . -vv --no-deps --no-build-isolation
if errorlevel 1 exit 1

rem Last, so that it sees everything that will be packed.
conda-prune prefix --fix
if errorlevel 1 exit 1
