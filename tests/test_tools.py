"""What maintainers run names modules and tests that exist."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import mutation

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("path", [*mutation.OWN, *mutation.TESTS])
def test_mutation_testing_names_files_that_exist(path: str) -> None:
    assert (REPOSITORY / path).is_file()
