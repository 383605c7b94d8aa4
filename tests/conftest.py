"""Fixtures that more than one test file uses."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the original raw files, which lie beside the project and are no part of it."""
    folder = Path(__file__).parents[1].parent / "shared" / "data" / "original"
    if not folder.is_dir():
        reason = f"the original raw files are not in {folder}"
        if os.environ.get("IRONORE_REQUIRE_REAL_DATA") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder
