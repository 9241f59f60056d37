"""`python -m tools.mutation DIRECTORY [MODULE ...]`: small faults, put one by one into what judges and what cuts; those
that no test notices are printed.

Needs `pip install cosmic-ray`. It works on a clone of what is committed, below DIRECTORY, where it also keeps what is
done: called again, it goes on; another commit takes another DIRECTORY. A fault is judged by a hundred quick tests that
run the changed line, one of every test function at least; `--again` has what survived judged by ten times as many, and
by slower ones. Everything takes hours; `--share 0.2` takes the same random fifth of every module each time. `--list`
prints what is known so far.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import json
import os
import random
import re
import sqlite3
import subprocess
import sys
from collections import defaultdict
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
TESTED_BY = {
    "judgement/test_bytecode.py": ("judgement/bytecode.py",),
    "judgement/test_links.py": ("judgement/links.py",),
    "judgement/test_plan.py": ("judgement/plan.py", "judgement/contents.py", "judgement/options.py"),
    "judgement/test_closure.py": ("judgement/closure.py",),
    "judgement/test_hard_links.py": ("judgement/hard_links.py",),
    "judgement/test_interpreters.py": ("judgement/interpreters.py", "judgement/landmarks.py"),
    "judgement/test_reachability.py": ("judgement/reachability.py",),
    "judgement/test_shadowing.py": ("judgement/shadowing.py",),
    "judgement/rules/test_rules.py": (
        "judgement/foreign_trees.py",
        "judgement/locations.py",
        "judgement/rules/rule.py",
    ),
    **{
        f"judgement/rules/test_{path.stem}.py": (f"judgement/rules/{path.name}",)
        for path in sorted((ROOT / "conda_prune/judgement/rules").glob("[a-z]*.py"))
        if path.stem not in ("rule", "stale_listing", "stale_stamp")
    },
    "judgement/rules/test_stale_listing.py": (
        "judgement/rules/stale_listing.py",
        "judgement/listings/disagreements.py",
        "judgement/listings/edits.py",
    ),
    "judgement/rules/test_stale_stamp.py": (
        "judgement/rules/stale_stamp.py",
        "judgement/stamps.py",
        "judgement/source_hash.py",
    ),
    "judgement/listings/test_line_lists.py": ("judgement/listings/line_lists.py",),
    "judgement/listings/test_paths_json.py": (
        "judgement/listings/paths_json.py",
        "judgement/listings/paths_edit.py",
        "judgement/listings/json_style.py",
    ),
    "judgement/variant/test_detect.py": ("judgement/variant/detect.py", "judgement/variant/evidence.py"),
    "judgement/variant/test_pythons.py": ("judgement/variant/pythons.py",),
    "judgement/variant/test_specs.py": ("judgement/variant/specs.py",),
    "archive/test_tar.py": ("archive/tar.py", "archive/tar_header.py"),
    "rewrite/test_verify.py": ("rewrite/rewriter.py", "rewrite/splices.py"),
    "compression/zstd/test_reuse.py": (
        "compression/zstd/reuse.py",
        "compression/zstd/reader.py",
        "compression/zstd/writer.py",
    ),
    "compression/zstd/test_blocks.py": ("compression/zstd/blocks.py",),
    "compression/zstd/test_frame.py": ("compression/zstd/frame.py",),
}
"""The tests that judge faults first, and the modules that each is about."""
OWN = {f"conda_prune/{module}": f"tests/{tests}" for tests, modules in TESTED_BY.items() for module in modules}
MODULES = {path.removeprefix("conda_prune/").removesuffix(".py").replace("/", "."): path for path in OWN}
TESTS = [*dict.fromkeys(OWN.values())]
TESTS += [
    "tests/judgement/test_healthy.py",
    "tests/operations/test_fix.py",
    "tests/archive/test_container.py",
    "tests/laws/test_hostile.py",
    "tests/test_limits.py",
    "tests/test_conda_package.py",
    "tests/archive/test_zip.py",
    "tests/compression/bzip2/test_reuse.py",
    "tests/judgement/variant/test_recipe_evidence.py",
]

_SAYS_SOMETHING = re.compile(
    "NumberReplacer|AddNot|ReplaceOrWithAnd|ReplaceAndWithOr|ReplaceTrueWithFalse|ReplaceFalseWithTrue"
    "|ReplaceContinueWithBreak|ReplaceBreakWithContinue|ExceptionReplacer|ZeroIterationForLoop"
    "|ReplaceComparisonOperator_(Lt_LtE|LtE_Lt|Gt_GtE|GtE_Gt|Eq_NotEq|NotEq_Eq|Is_IsNot|IsNot_Is)"
    "|ReplaceBinaryOperator_(Add_Sub|Sub_Add|Mul_FloorDiv|FloorDiv_Mul|Mod_Mul|Pow_Mul|LShift_RShift|RShift_LShift"
    "|BitOr_BitAnd|BitAnd_BitOr|BitXor_BitOr)"
    "|ReplaceUnaryOperator_(USub_UAdd|Delete_Not|Delete_Invert)"
)
"""One replacement of every operator: the others are noticed wherever this one is."""
_SLOW, _ENOUGH, _MANY = 1.0, 3.0, 100
"""Seconds of a test that is too slow, seconds of all tests that judge one fault, and how many these are at most."""
_CPU_SECONDS, _MEMORY = 30, 1 << 32


def main() -> int:
    if sys.argv[1:2] == ["judge"]:
        return judge(Path(sys.argv[2]))
    parser = argparse.ArgumentParser("python -m tools.mutation", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=", ".join(MODULES))
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_intermixed_args()
    directory = options.directory.resolve()
    clone = directory / "clone"
    if not clone.exists():
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    os.environ |= {"PYTHONPATH": str(clone), "PYTHONDONTWRITEBYTECODE": "1"}
    os.chdir(clone)
    if not (directory / "lines.json").exists() and not options.list:
        subprocess.run(
            [sys.executable, "-c", f"from tools import mutation as m; m.record({str(directory)!r})"], check=True
        )
    for name in options.modules or MODULES:
        if not options.list:
            mutate(directory, name, options.share, options.again)
        report(directory, name)
    return 0


class Recorder:
    """Notes which tests run which lines, and how long each takes."""

    def __init__(self) -> None:
        import coverage

        self.seconds: dict[str, float] = {}
        # Not as pyproject.toml has it: processes that the tests start are not measured, so they are as they always are.
        self.coverage = coverage.Coverage(data_file=None, config_file=False, include=["conda_prune/*"])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        self.coverage.switch_context(item.nodeid)
        start = sum(os.times()[:4])
        done = yield
        self.seconds[item.nodeid] = sum(os.times()[:4]) - start
        self.coverage.switch_context("")
        return done


def record(directory: str) -> None:
    """Run the tests, and write down for every line of the modules those that run it."""
    recorder = Recorder()
    recorder.coverage.start()
    failed = pytest.main([*_PYTEST, *TESTS], plugins=[recorder])
    recorder.coverage.stop()
    if failed:
        sys.exit("the tests fail before anything is changed")
    numbers = {test: number for number, test in enumerate(recorder.seconds)}
    data = recorder.coverage.get_data()
    lines = {}
    for path in MODULES.values():
        found = data.contexts_by_lineno(str(Path(path).resolve()))
        lines[path] = {line: [numbers[test] for test in tests if test] for line, tests in found.items()}
    known = {"seconds": list(recorder.seconds.items()), "lines": lines}
    (Path(directory) / "lines.json").write_text(json.dumps(known))


_TIMED = "linear_time or takes_time or no_faster"
"""What a busy machine may fail, faults or none."""
_PYTEST = [
    *("-o", "addopts=", "-m", "not long", "-k", f"not ({_TIMED})"),
    *("-q", "--tb=no", "-p", "no:cacheprovider", "--hypothesis-profile=ci"),
]


def mutate(directory: Path, name: str, share: float, again: bool) -> None:
    """Put the faults into one module, one after another, and run the tests on each."""
    config, session = directory / f"{name}.toml", directory / f"{name}.sqlite"
    if not session.exists():
        command = json.dumps(f"{sys.executable} -m tools.mutation judge {directory}")
        config.write_text(
            f'[cosmic-ray]\nmodule-path = "{MODULES[name]}"\ntimeout = 300.0\ntest-command = {command}\n'
            'excluded-modules = []\n[cosmic-ray.distributor]\nname = "local"\n'
        )
        _cosmic_ray("init", str(config), str(session))
        choose(session, Path(MODULES[name]), share)
    if again:
        os.environ["MUTATION_AGAIN"] = "1"
        with contextlib.closing(sqlite3.connect(session)) as database, database:
            database.execute("delete from work_results where test_outcome = 'SURVIVED'")
    subprocess.run(["git", "checkout", "--quiet", "."], check=True)  # what an interrupted run left
    _cosmic_ray("exec", str(config), str(session))


def _cosmic_ray(*arguments: str) -> None:
    subprocess.run([Path(sys.executable).parent / "cosmic-ray", *arguments], check=True)


def choose(session: Path, module: Path, share: float) -> None:
    """Leave out of a session what says nothing, and of the rest all but the share."""
    dull = list(_dull_spans(ast.parse(module.read_text())))
    with contextlib.closing(sqlite3.connect(session)) as database, database:
        found = database.execute(
            "select job_id, operator_name, start_pos_row, start_pos_col from mutation_specs"
            " order by start_pos_row, start_pos_col, operator_name, occurrence"
        ).fetchall()
        jobs = [
            job
            for job, operator, *at in found
            if _SAYS_SOMETHING.fullmatch(operator.removeprefix("core/"))
            and not any(start <= tuple(at) < stop for start, stop in dull)
        ]
        random.Random(module.name).shuffle(jobs)
        jobs = jobs[: round(len(jobs) * share)]
        marks = ",".join("?" * len(jobs))
        for table in ("mutation_specs", "work_items"):
            database.execute(f"delete from {table} where job_id not in ({marks})", jobs)


def _dull_spans(tree: ast.Module) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Yield where annotations and decorators stand: they do nothing, or say how, and not what."""
    for node in ast.walk(tree):
        dull: list[ast.expr | None] = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        for part in (*dull, *getattr(node, "decorator_list", ())):
            if isinstance(part, ast.expr):
                yield (part.lineno, part.col_offset), (part.end_lineno or 0, part.end_col_offset or 0)


def judge(directory: Path) -> int:
    """Return 0 where the clone's tests do not notice what was changed in it."""
    _limit()
    changes = subprocess.run(["git", "diff", "-U0"], capture_output=True, text=True, check=True).stdout
    path = next(line[6:] for line in changes.splitlines() if line.startswith("+++ b/"))
    changed = next(int(found[1]) for found in re.finditer(r"^@@ -(\d+)", changes, re.MULTILINE))
    original = subprocess.run(["git", "show", f"HEAD:{path}"], capture_output=True, text=True, check=True).stdout
    known = json.loads((directory / "lines.json").read_text())
    tests = chosen(known["seconds"], known["lines"][path], _statement(ast.parse(original), changed), OWN[path])
    if not tests:
        print("no test runs this")
        return 0
    done = int(pytest.main([*_PYTEST, "-x", *tests]))
    if done == pytest.ExitCode.USAGE_ERROR:  # a test's name changed with the fault
        return int(pytest.main([*_PYTEST, "-x", *{test.partition("::")[0] for test in tests}]))
    return done


def _limit() -> None:
    """End this process when it takes too long or too much memory, as what loops for ever does."""
    import resource
    import signal

    out = os.dup(1)  # which pytest takes for itself

    def end(*_: object) -> None:
        os.write(out, b"timeout")
        os._exit(1)

    signal.signal(signal.SIGXCPU, end)
    seconds = _CPU_SECONDS * _patience()
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))


def _statement(tree: ast.Module, line: int) -> range | None:
    """Return the lines of the statement that a line belongs to; None where it runs when the module is imported."""
    inside = [node for node in ast.walk(tree) if isinstance(node, ast.stmt) and _holds(node, line)]
    functions = [node for node in inside if isinstance(node, ast.FunctionDef) and line >= node.body[0].lineno]
    if not functions:
        return None
    innermost = max(inside, key=lambda node: node.lineno)
    return range(innermost.lineno, line + 1)


def _holds(node: ast.stmt, line: int) -> bool:
    return node.lineno <= line <= (node.end_lineno or 0)


def chosen(known: list[tuple[str, float]], lines: dict[str, list[int]], wanted: range | None, own: str) -> list[str]:
    """Return the tests that are to judge a change in these lines: one of each test function, the module's own first,
    then a second one of each, …
    """
    numbers = wanted if wanted is not None else map(int, lines)
    running = {test for number in numbers for test in lines.get(str(number), ())}
    if wanted is None:  # what only looks at a constant runs no line of the module
        running |= {number for number, (test, _) in enumerate(known) if test.startswith(f"{own}::")}
    seconds = {test: cost for test, cost in map(known.__getitem__, running) if cost < _SLOW * _patience()}
    turns: dict[str, list[str]] = defaultdict(list)
    for test in sorted(seconds, key=lambda test: (seconds[test], test)):
        turns[test.partition("[")[0]].append(test)
    ordered = sorted(
        (turn, not test.startswith(f"{own}::"), seconds[test], test)
        for tests in turns.values()
        for turn, test in enumerate(tests)
    )
    enough = _ENOUGH * _patience()
    taken: list[str] = []
    spent = 0.0
    for turn, _, cost, test in ordered:
        spent += cost
        if turn > 0 and (spent > enough or len(taken) >= _MANY * enough / _ENOUGH):
            break
        taken.append(test)
    return taken


def _patience() -> int:
    """Return how many times as much is spent on a fault, as that is its second turn."""
    return 10 if "MUTATION_AGAIN" in os.environ else 1


def report(directory: Path, name: str) -> None:
    """Print how many faults of a module were noticed, and those that were not."""
    session = directory / f"{name}.sqlite"
    if not session.exists():
        return
    with contextlib.closing(sqlite3.connect(session)) as database:
        found = database.execute(
            "select start_pos_row, operator_name, test_outcome, output, diff from mutation_specs"
            " left join work_results using (job_id) order by start_pos_row, start_pos_col, operator_name"
        ).fetchall()
    done = [row for row in found if row[2]]
    survivors = [row for row in done if row[2] == "SURVIVED"]
    timeouts = sum("timeout" in (row[3] or "") for row in done if row[2] != "SURVIVED")
    killed = len(done) - len(survivors) - timeouts
    score = f"{(len(done) - len(survivors)) / len(done):.1%}" if done else "-"
    print(f"{name}: {len(found)} faults, {killed} killed, {timeouts} timeouts, {len(survivors)} survived, {score}")
    for row, operator, _, output, diff in survivors:
        changed = [line for line in (diff or "").splitlines() if re.match(r"[-+](?![-+])", line)]
        note = " (no test runs this)" if "no test runs this" in (output or "") else ""
        print(f"  {MODULES[name]}:{row} {operator.removeprefix('core/')}{note}", *changed, sep="\n    ")


if __name__ == "__main__":
    sys.exit(main())
