#!/usr/bin/env bash
# Runs this checkout in CPython 3.11 for Windows, under Wine. windows.md says what that is and what it is not.
#
#   tools/windows.sh make            download and put together everything, in $LAB
#   tools/windows.sh python ARG ...  run its python.exe in the current directory
#   tools/windows.sh prune ARG ...   run its conda-prune.exe
#   tools/windows.sh test DIRECTORY  run all tests in pieces, two at a time; write reports into DIRECTORY and add them up
#
# Needs python3.11 with pip, wine64 and the MinGW compiler (Debian: wine64 gcc-mingw-w64-x86-64-win32).
set -euo pipefail
LAB=${LAB:-${XDG_CACHE_HOME:-$HOME/.cache}/conda-prune-windows}
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
WINE=$(command -v wine64 || echo /usr/lib/wine/wine64)
MINGW=x86_64-w64-mingw32
PYTHON=python3.11
export WINEPREFIX=$LAB/prefix WINEARCH=win64 WINEDEBUG=${WINEDEBUG:--all} WINEDLLOVERRIDES='mscoree,mshtml='
export LIBARCHIVE="Z:${LAB//\//\\}\\win\\libarchive\\libarchive-13.dll"
unset DISPLAY PYTHONPATH PYTHONHOME LD_LIBRARY_PATH

for_windows() { # pip, for packages of another platform
  "$PYTHON" -m pip "$@" --quiet --only-binary=:all: --platform win_amd64 --python-version 3.11 --implementation cp
}

forwarders() { # the definition of a DLL that forwards every export of python311.dll
  printf 'LIBRARY python3.dll\nEXPORTS\n'
  "$MINGW-objdump" -p "$LAB/win/python311.dll" | awk '/^\t\[ *[0-9]+\] _?Py/ { print $NF "=python311." $NF }'
}

make() {
  rm -rf "$LAB"; mkdir -p "$LAB"/{win/DLLs,win/Lib/site-packages,win/libarchive,wheels}; cd "$LAB"
  # CPython's own DLLs and extension modules are in the wheel of panda3d, those of libarchive in one of its own.
  for_windows download --no-deps --dest wheels panda3d extractcode-libarchive
  for wheel in wheels/*.whl; do "$PYTHON" -m zipfile --extract "$wheel" wheels/unpacked; done
  cp wheels/unpacked/deploy_libs/{python311,vcruntime140*,libffi*,libcrypto*,libssl*,sqlite3}.dll win/ 2>/dev/null || true
  cp wheels/unpacked/deploy_libs/VCRUNTIME140*.dll win/ 2>/dev/null || true
  cp wheels/unpacked/deploy_libs/*.pyd win/DLLs/
  cp wheels/unpacked/extractcode_libarchive/lib/*.dll win/libarchive/
  cp win/libarchive/zlib1.dll win/
  # The standard library in Python is the same on all systems.
  local library; library=$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
  (cd "$library" && find . -name '*.py' -not -path './site-packages/*' -not -path './test/*' -print0 |
    tar --create --null --files-from=-) | tar --extract --directory=win/Lib
  # The executable, which the wheel does not have; python3.dll for the stable ABI; what Rust needs and Wine 8 lacks.
  cat >main.c <<'C'
#include <windows.h>
typedef int Main(int, wchar_t **);
int wmain(int count, wchar_t **words) { return ((Main *)GetProcAddress(LoadLibraryW(L"python311"), "Py_Main"))(count, words); }
C
  cat >random.c <<'C'
#include <stddef.h>
__declspec(dllimport) unsigned char __stdcall SystemFunction036(void *, unsigned long); /* RtlGenRandom */
__declspec(dllexport) int __stdcall ProcessPrng(unsigned char *to, size_t size) {
  for (size_t at = 0; at < size; at += 65536)
    SystemFunction036(to + at, (unsigned long)(size - at < 65536 ? size - at : 65536));
  return 1;
}
int __stdcall DllMain(void *module, unsigned long reason, void *unused) { return 1; }
C
  echo 'int __stdcall DllMain(void *m, unsigned long r, void *u) { return 1; }' >empty.c
  forwarders >python3.def
  "$MINGW-gcc" -municode -o win/python.exe main.c
  "$MINGW-gcc" -shared -nostdlib -Wl,--entry=DllMain -o win/python3.dll empty.c python3.def
  "$MINGW-gcc" -shared -nostdlib -Wl,--entry=DllMain -o win/bcryptprimitives.dll random.c -ladvapi32
  # What pyproject.toml declares, and this checkout itself.
  "$PYTHON" - "$ROOT/pyproject.toml" >requirements.txt <<'P'
import sys, tomllib
project = tomllib.load(open(sys.argv[1], "rb"))["project"]
print(*project["dependencies"], *project["optional-dependencies"]["test"], "colorama", "pip", sep="\n")
P
  for_windows install --target win/Lib/site-packages --requirement requirements.txt
  "$PYTHON" -m pip install --quiet --no-deps --target win/Lib/site-packages "$ROOT"
  rm -r win/Lib/site-packages/conda_prune
  echo "Z:${ROOT//\//\\}" >win/Lib/site-packages/checkout.pth
  # Until Python 3.13, the clock of Windows ticks 64 times a second. Dask waits until it sees the same time twice.
  # When much is going on, CreateProcess of Wine 8 fails now and then, with ERROR_INTERNAL_ERROR.
  cat >win/Lib/site-packages/sitecustomize.py <<'P'
import _winapi, time
time.time = lambda exact=time.time: exact() // 0.015625 * 0.015625
def create_process(*arguments, create=_winapi.CreateProcess):
    for _ in range(3):
        try:
            return create(*arguments)
        except OSError as error:
            if error.winerror != 1359:
                raise
    return create(*arguments)
_winapi.CreateProcess = create_process
P
  # An executable as pip makes it: a launcher, the interpreter's path, and a zip with the script.
  "$PYTHON" - "Z:${LAB//\//\\}\\win\\python.exe" >win/conda-prune.exe <<'P'
import io, pathlib, pip, sys, zipfile
script = io.BytesIO()
with zipfile.ZipFile(script, "w") as file:
    file.writestr("__main__.py", "from conda_prune.cli import main\nmain()\n")
launcher = pathlib.Path(pip.__file__).parent / "_vendor" / "distlib" / "t64.exe"
sys.stdout.buffer.write(launcher.read_bytes() + f"#!{sys.argv[1]}\r\n".encode() + script.getvalue())
P
  "$WINE" wineboot --init </dev/null >/dev/null 2>&1 || true
  run "$LAB/win/python.exe" -c 'import sys, rattler, zstandard, libarchive; print(sys.version)'
}

run() {
  # The services of Wine start with the first program, outlive it, and keep its pipes open, so a reader would wait.
  "$WINE" wineboot </dev/null >/dev/null 2>&1 || true
  # Python needs a pipe or a terminal for each stream there.
  if [ -t 0 ] && [ -t 1 ] && [ -t 2 ]; then exec "$WINE" "$@"; fi
  "$WINE" "$@" < <(cat) > >(cat) 2> >(cat >&2)
}

piece() { # DIRECTORY NAME PATH ...: run these tests, and write NAME.xml when they ended
  local directory=$1 name=$2; shift 2
  touch "$directory/$name.piece"; rm -f "$directory/$name.xml"
  run "$LAB/win/python.exe" -m pytest -o addopts= -o junit_family=xunit1 -o faulthandler_timeout=300 -m 'not long' \
    -p no:cacheprovider -q -ra --durations=10 --junitxml="Z:${directory//\//\\}\\$name.xml" "$@" >"$directory/$name.log" 2>&1
}

suite() { # DIRECTORY: all pieces, those that take longest first
  mkdir -p "$1"; local directory; directory=$(cd "$1" && pwd); cd "$ROOT"
  { printf 'tests/%s\n' cli channel report audit faults environment judgement; echo root; ls -d tests/[a-z]*/ | sed 's|/$||'; } |
    awk '!seen[$0]++' | xargs -P 2 -I{} "$ROOT/tools/windows.sh" piece "$directory" {} || true
  "$PYTHON" -m tools.windows_counts "$directory"
}

case ${1:-} in
  make) make ;;
  python) shift; run "$LAB/win/python.exe" "$@" ;;
  prune) shift; run "$LAB/win/conda-prune.exe" "$@" ;;
  test) suite "$2" ;;
  piece)
    if [ "$3" = root ]; then piece "$2" root tests/test_*.py; else piece "$2" "$(basename "$3")" "$3"; fi
    ;;
  *) sed -n '2,9p' "${BASH_SOURCE[0]}"; exit 2 ;;
esac
