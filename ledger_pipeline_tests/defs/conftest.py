"""A small ledger whose settings are in the environment, as Dagster's processes find them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from ledger_pipeline.ledger import Ledger
from ledger_pipeline_tests.defs.small_ledger import fill

# Pydantic's warning about how Dagster looks at its own classes.
_DAGSTER_WARNINGS = "ignore::pydantic.warnings.PydanticDeprecatedSince20:dagster_shared"

NO_TELEMETRY = {"telemetry": {"enabled": False}}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("filterwarnings", _DAGSTER_WARNINGS)


@pytest.fixture
def home(tmp_path: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`LEDGER_HOME` of a ledger of this test's own, in the database under test."""
    monkeypatch.setenv("LEDGER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LEDGER_DATABASE_URL", ledger_url)
    return tmp_path / "home"


@pytest.fixture
def now() -> datetime:
    """The present of a test, to the second."""
    return datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def small_ledger(home: Path, now: datetime) -> Path:
    """The home of a ledger with an execution of twelve events at each of `AGES_IN_DAYS`."""
    with Ledger.open() as ledger:
        fill(ledger, now)
    return home


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """A Dagster instance that keeps what happens, for this test only."""
    folder = tmp_path / "dagster"
    folder.mkdir()
    with dg.DagsterInstance.local_temp(str(folder), overrides=NO_TELEMETRY) as opened:
        yield opened
