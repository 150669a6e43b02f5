"""A folder of the test's own for cold files."""

from pathlib import Path

import pytest

from ledger_pipeline.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings whose cold store is empty."""
    return Settings(home=tmp_path / "home", cold_url=str(tmp_path / "cold"))
