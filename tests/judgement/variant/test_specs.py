"""Dependencies allow the Pythons that rattler says they allow."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rattler import MatchSpec, Version, VersionSpec

from conda_prune.judgement.variant.pythons import VERSIONS
from conda_prune.judgement.variant.specs import (
    COMMON_PINS,
    IMPOSSIBLE,
    UNKNOWN,
    Constraint,
    build_constraint,
    constraint_of,
    only,
    split_spec,
)

from ...clock import cpu_time

RELEASES = [f".{patch}" for patch in range(31)]
PRE_RELEASES = [f".0{stage}{n}" for stage in ("a", "b", "rc") for n in range(1, 5)]


def allowed_by_rattler(pin: str) -> frozenset[tuple[int, int]] | None:
    """Return the minor versions with a release that rattler accepts, or else with such a pre-release; None for all."""
    version = MatchSpec(f"python {pin}").version
    if version in (None, "*"):
        return None
    spec = VersionSpec(version)

    def passing(patches: list[str]) -> frozenset[tuple[int, int]]:
        return frozenset(
            (major, minor)
            for major, minor in VERSIONS
            if any(spec.matches(Version(f"{major}.{minor}{patch}")) for patch in patches)
        )

    return passing(RELEASES) or passing(PRE_RELEASES)


def test_every_common_pin_means_what_rattler_says() -> None:
    assert {pin: allowed_by_rattler(pin) for pin in COMMON_PINS} == COMMON_PINS


@pytest.mark.parametrize(
    "pin",
    [
        "*",
        ">=3.9",
        ">=3.7,<4.0",
        ">=3.10,<4",
        ">=3.10,<3.13.0a0",
        ">=3.11,<3.12.0a0",
        ">=3.14.0rc3,<3.15.0a0",
        "3.11.4",
        "3.11",
        "==3.11.4",
        "=3.11",
        "3.11*",
        "3.11.*",
        "~=3.11.0",
        "~=3.11",
        "!=3.11.*",
        "3.11.*|3.12.*",
        ">=2.7,!=3.0.*,!=3.1.*,!=3.2.*,!=3.3.*",
        "<3",
        "2.7.*",
        ">3.10.99,<3.12",
        "3.15.0b1",
        ">=3.15.0a1,<3.15.0b1",
        "9.9.*",
    ],
)
def test_a_version_allows_what_rattler_says(pin: str) -> None:
    constraint = constraint_of("python", pin)
    assert constraint is not None
    assert constraint.versions == allowed_by_rattler(pin)


@given(
    low=st.sampled_from(VERSIONS),
    high=st.sampled_from(VERSIONS),
    operators=st.sampled_from([(">=", "<"), (">", "<="), (">=", "!=")]),
    ending=st.sampled_from(["", ".0a0", ".*", ".3"]),
)
def test_any_range_allows_what_rattler_says(
    low: tuple[int, int], high: tuple[int, int], operators: tuple[str, str], ending: str
) -> None:
    pin = f"{operators[0]}{low[0]}.{low[1]},{operators[1]}{high[0]}.{high[1]}{ending}"
    try:
        expected = allowed_by_rattler(pin)
    except Exception:
        assert constraint_of("python", pin) is None
        return
    constraint = constraint_of("python", pin)
    assert constraint is not None
    assert constraint.versions == expected


CP311 = Constraint("cpython", frozenset({(3, 11)}))
GRAALPY230 = Constraint("graalpy", frozenset({(3, 10)}), release="230")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param("numpy 3.11.*", None, id="another-package"),
        pytest.param("python-dateutil 2.7.*", None, id="a-name-that-begins-like-it"),
        pytest.param("pypydispatcher", None, id="a-name-that-begins-like-pypy"),
        pytest.param("_python_abi3_support 1.*", None, id="abi3-support"),
        pytest.param("python ^3.11", None, id="poetry's-caret"),
        pytest.param("python >=3.11; if linux", None, id="conditional"),
        pytest.param("python_abi 3.11.* [oops", None, id="unparsable"),
        pytest.param("", None, id="empty"),
        pytest.param("::", None, id="no-name"),
        pytest.param("python", Constraint(), id="bare"),
        pytest.param("python *", Constraint(), id="star"),
        pytest.param("python_abi * *_foo", Constraint(UNKNOWN), id="an-unknown-abi"),
        pytest.param("python_abi 3.8 *_23_pyston", only((3, 8), UNKNOWN), id="pyston-abi"),
        pytest.param("python 3.8.12 *_23_pyston", only((3, 8), UNKNOWN), id="pyston-by-build"),
        pytest.param("python 3.9.* 5_intel", only((3, 9), UNKNOWN), id="a-build-string-of-an-unknown-kind"),
        pytest.param("python 3.6.5 hc3d631a_2", only((3, 6)), id="a-hash-as-defaults-has-it"),
        pytest.param("python 3.12.0 *_rc1_cpython", only((3, 12), "cpython"), id="release-candidate"),
        pytest.param("cpython >=3.11,<3.12.0a0", CP311, id="metapackage"),
        pytest.param("cpython", Constraint("cpython"), id="metapackage-of-any-version"),
        pytest.param(
            "cpython 3.13.* *_cp313t", Constraint("cpython", frozenset({(3, 13)}), True), id="metapackage-with-build"
        ),
        pytest.param("cpython 3.10.* *_73_pypy", IMPOSSIBLE, id="metapackage-of-another-implementation"),
        pytest.param("python_abi * *_cp399", Constraint("cpython"), id="an-abi-that-cannot-exist"),
        pytest.param("pypy9.9 >=7", None, id="a-pypy-that-cannot-exist"),
        pytest.param("python 9.9.*", IMPOSSIBLE, id="a-version-that-cannot-exist"),
        pytest.param("python 3", IMPOSSIBLE, id="3.0-which-conda-never-had"),
        pytest.param("python_abi 3.11.* *_cp310", IMPOSSIBLE, id="version-and-build-disagree"),
        pytest.param("python >=3.11,<3.12.0a0", only((3, 11)), id="run-export"),
        pytest.param("python >=3.11,<3.12", only((3, 11)), id="3.12.0a1-is-not-meant"),
        pytest.param("python 3.15.0b1", only((3, 15)), id="pre-release"),
        pytest.param("python 3.11.4", only((3, 11)), id="patch-release"),
        pytest.param("python>=3.11,<3.12", only((3, 11)), id="without-a-space"),
        pytest.param("conda-forge::python 3.11.*", only((3, 11)), id="with-a-channel"),
        pytest.param("conda-forge/linux-64::Python 3.11.*", only((3, 11)), id="with-a-subdir-and-a-capital"),
        pytest.param("python[version='>=3.11,<3.12']", only((3, 11)), id="brackets"),
        pytest.param("python[version='3.11.*', build='*_cpython']", CP311, id="brackets-with-build"),
        pytest.param("python 3.11.* *_cpython", CP311, id="implementation-by-build"),
        pytest.param("python_abi 3.11.* *_cp311", CP311, id="abi"),
        pytest.param("python_abi  3.11.*   *_cp311", CP311, id="abi-with-spaces"),
        pytest.param("python_abi * *_cp311", CP311, id="abi-without-version"),
        pytest.param("python_abi 3.9 2_cp39", only((3, 9), "cpython"), id="abi-with-exact-build"),
        pytest.param("python_abi 3.7.* *_cp37m", only((3, 7), "cpython"), id="abi-flag-m"),
        pytest.param("python_abi 2.7.* *_cp27mu", only((2, 7), "cpython"), id="abi-flags-mu"),
        pytest.param("python_abi 3.13.* *_cp313", Constraint("cpython", frozenset({(3, 13)}), False), id="gil"),
        pytest.param(
            "python_abi 3.13.* *_cp313t", Constraint("cpython", frozenset({(3, 13)}), True), id="free-threaded"
        ),
        pytest.param("python_abi 3.16.* *_asan_cp316", Constraint("cpython", frozenset({(3, 16)}), False), id="asan"),
        pytest.param("python_abi 3.16.* *_tsan_cp316t", Constraint("cpython", frozenset({(3, 16)}), True), id="tsan"),
        pytest.param(
            "python 3.14.* *_debug_cp314", Constraint("cpython", frozenset({(3, 14)}), False), id="debug-interpreter"
        ),
        pytest.param("python_abi 3.9 *_pypy39_pp73", only((3, 9), "pypy"), id="pypy-abi"),
        pytest.param("python 3.9.* *_73_pypy", only((3, 9), "pypy"), id="pypy-by-build"),
        pytest.param("pypy3.9 >=7.3.11", only((3, 9), "pypy"), id="pypy-by-name"),
        pytest.param("python_abi 3.10.* *_graalpy230_310_native", GRAALPY230, id="graalpy-abi"),
        pytest.param("python 3.10.8 0_native230_graalpy", GRAALPY230, id="graalpy-by-build"),
        pytest.param("graalpy >=23.0.0", Constraint("graalpy"), id="graalpy-by-name"),
    ],
)
def test_pythons_that_a_dependency_allows(spec: str, expected: Constraint | None) -> None:
    assert constraint_of(*split_spec(spec)) == expected


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        pytest.param("", Constraint(), id="nothing"),
        pytest.param("h123abc4_0", Constraint(), id="hash-alone"),
        pytest.param("py311h123abc4_0", Constraint(), id="py-token-is-other-evidence"),
        pytest.param("hb806964_0_cpython", Constraint("cpython"), id="until-3.12"),
        pytest.param("habeac84_101_cp314", Constraint("cpython", frozenset({(3, 14)}), False), id="since-3.13"),
        pytest.param("h92d6c8b_100_cp314t", Constraint("cpython", frozenset({(3, 14)}), True), id="free-threaded"),
        pytest.param("h1_0_debug_cp314", Constraint("cpython", frozenset({(3, 14)}), False), id="debug"),
        pytest.param("0_asan_cp316", Constraint("cpython", frozenset({(3, 16)}), False), id="cpython's-own-recipe"),
        pytest.param("0_73_pypy", Constraint("pypy"), id="pypy"),
        pytest.param("0_native230_graalpy", Constraint("graalpy", release="230"), id="graalpy"),
        pytest.param("0_23_pyston", Constraint(UNKNOWN), id="pyston"),
        pytest.param("h4a3b2c1_0_rc2", Constraint(), id="release-candidate"),
        pytest.param("h0_0_cp3110", Constraint(), id="too-many-digits"),
    ],
)
def test_pythons_that_a_build_string_allows(build: str, expected: Constraint) -> None:
    assert build_constraint(build) == expected


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        pytest.param(Constraint(), Constraint(), Constraint(), id="nothing"),
        pytest.param(CP311, Constraint("pypy"), None, id="implementations-differ"),
        pytest.param(CP311, only((3, 10)), None, id="versions-differ"),
        pytest.param(
            Constraint(free_threaded=True), Constraint(free_threaded=False), None, id="free-threading-differs"
        ),
        pytest.param(CP311, IMPOSSIBLE, None, id="impossible"),
        pytest.param(CP311, Constraint(), CP311, id="one-allows-everything"),
        pytest.param(CP311, only((3, 11)), CP311, id="agreement"),
        pytest.param(Constraint(versions=frozenset({(3, 10), (3, 11)})), CP311, CP311, id="a-range-and-one-in-it"),
        pytest.param(CP311, Constraint(UNKNOWN), only((3, 11), UNKNOWN), id="unknown-stays-unknown"),
        pytest.param(GRAALPY230, Constraint(release="231"), None, id="graalpy-releases-differ"),
        pytest.param(GRAALPY230, Constraint("graalpy"), GRAALPY230, id="one-names-the-graalpy-release"),
    ],
)
def test_two_constraints_together(one: Constraint, other: Constraint, both: Constraint | None) -> None:
    assert one & other == both
    assert other & one == both


def test_rattler_is_not_imported_for_common_pins() -> None:
    pins = [pin for pin in COMMON_PINS if pin]
    code = (
        "import sys\n"
        "from conda_prune.judgement.variant.specs import constraint_of\n"
        f"for pin in {pins!r}:\n"
        "    for build in ('', ' *_cp311', ' *_cpython'):\n"
        "        assert constraint_of('python', pin + build) is not None\n"
        "assert 'rattler' not in sys.modules\n"
        "assert constraint_of('python', '>=3.10,<3.13') is not None\n"
        "assert 'rattler' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@given(st.text(max_size=40))
def test_any_spec_is_parsed_or_rejected(text: str) -> None:
    for spec in (text, f"python {text}", f"python_abi {text}", f"python{text}"):
        constraint = constraint_of(*split_spec(spec))
        assert constraint is None or constraint.versions is None or constraint.versions <= set(VERSIONS)


@pytest.mark.parametrize("part", ["a", "1", ".", " ", ",", "|", ">=3.1,", "::", "a::", "[", "*_cp311", "cp3", "pypy3"])
def test_a_spec_of_a_megabyte_takes_linear_time(part: str) -> None:
    def seconds(size: int) -> float:
        best = 9.0
        for attempt in range(3):
            spec = f"python {part * (size // len(part))}{attempt}"
            started = cpu_time()
            constraint_of(*split_spec(spec))
            best = min(best, cpu_time() - started)
        return best

    seconds(16)
    # Sixteen times the length: a quadratic reader takes 256 times as long. Below a few milliseconds the clock decides.
    assert seconds(1 << 20) < 80 * max(seconds(1 << 16), 3e-3)
