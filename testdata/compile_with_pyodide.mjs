// Compiles every .py file below the given folders of a prefix with the CPython inside a pyodide package.
//
//   node compile_with_pyodide.mjs PYODIDE PREFIX MODE FOLDER...
//
// PYODIDE is an unpacked pyodide npm package, MODE a name of py_compile.PycInvalidationMode, the folders
// are relative to PREFIX. Prints {"tag": cache tag, "compiled": [paths], "failed": [paths]} as JSON.
import path from "node:path";
import { pathToFileURL } from "node:url";

const [pyodide, prefix, mode, ...folders] = process.argv.slice(2);
const home = path.resolve(pyodide);
const { loadPyodide } = await import(pathToFileURL(path.join(home, "pyodide.mjs")));
const python = await loadPyodide({ indexURL: home + path.sep });

// The mount point ends up in co_filename, so it must not depend on the machine.
python.FS.mkdir("/prefix");
python.FS.mount(python.FS.filesystems.NODEFS, { root: path.resolve(prefix) }, "/prefix");
python.globals.set("request", JSON.stringify({ mode, folders }));

const report = python.runPython(`
import json, os, py_compile, sys, warnings

warnings.simplefilter("ignore")
request = json.loads(request)
mode = py_compile.PycInvalidationMode[request["mode"]]
compiled, failed = [], []
for folder in request["folders"]:
    for parent, folders, files in os.walk(os.path.join("/prefix", folder)):
        folders.sort()
        for name in sorted(files):
            if not name.endswith(".py"):
                continue
            source = os.path.join(parent, name)
            try:
                py_compile.compile(source, doraise=True, invalidation_mode=mode)
            except py_compile.PyCompileError:
                failed.append(os.path.relpath(source, "/prefix"))
            else:
                compiled.append(os.path.relpath(source, "/prefix"))
json.dumps({"tag": sys.implementation.cache_tag, "compiled": compiled, "failed": failed})
`);
console.log(report);
