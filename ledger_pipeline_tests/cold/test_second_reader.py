"""Large rolls verify in a process of its own: it answers as the function does, and its end is noticed."""

import signal
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from ledger_pipeline.cold import second_reader as module
from ledger_pipeline.cold.manifest import committed_weeks
from ledger_pipeline.cold.roll import roll
from ledger_pipeline.cold.second_reader import SecondReader
from ledger_pipeline.cold.verify import verify_files
from ledger_pipeline.errors import ColdStoreDamaged, LedgerError
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.cold.histories import NOW, fill
from ledger_pipeline_tests.hot.security.logins import logins_of


@pytest.fixture(autouse=True)
def every_week_counts_as_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WORTH_A_PROCESS", 1)  # also of the roll that stores it


@pytest.fixture
def week(connection: Connection, settings: Settings) -> tuple[Path, date, tuple[module.ColdFile, ...]]:
    fill(connection)
    roll(connection, settings, NOW)
    row = committed_weeks(connection)[0]
    return settings.cold_dir, row.week, row.files


def test_the_process_answers_as_the_function_does(week: tuple[Path, date, tuple[module.ColdFile, ...]]) -> None:
    with SecondReader(module.WORTH_A_PROCESS) as reader:
        assert [reader.verify(*week), reader.verify(*week)] == [verify_files(*week)] * 2


def test_damage_is_told_as_the_function_tells_it(week: tuple[Path, date, tuple[module.ColdFile, ...]]) -> None:
    cold_dir, monday, (file,) = week
    path = cold_dir / file.name
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ColdStoreDamaged) as told:
        verify_files(cold_dir, monday, [file])
    with SecondReader(module.WORTH_A_PROCESS) as reader:
        for _ in range(2):
            with pytest.raises(ColdStoreDamaged) as answered:
                reader.verify(cold_dir, monday, [file])
            assert str(answered.value) == str(told.value)


def test_a_process_that_was_killed_is_no_answer(week: tuple[Path, date, tuple[module.ColdFile, ...]]) -> None:
    with SecondReader(module.WORTH_A_PROCESS) as reader:
        process = reader._process  # pyright: ignore[reportPrivateUsage]
        assert process is not None
        process.send_signal(signal.SIGKILL)
        with pytest.raises(LedgerError, match="ended with exit code -9: roll again"):
            reader.verify(*week)


def test_the_process_ends_with_its_block(week: tuple[Path, date, tuple[module.ColdFile, ...]]) -> None:
    reader = SecondReader(module.WORTH_A_PROCESS)

    def interrupted() -> None:
        with reader:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    process = reader._process  # pyright: ignore[reportPrivateUsage]
    assert process is not None
    assert process.returncode == -signal.SIGKILL


def test_a_large_roll_has_a_process_and_a_small_one_has_none(
    connection: Connection, server_url: str, ledger_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[object] = []
    start = subprocess.Popen[bytes]

    def counted(*args: Any, **kwargs: Any) -> subprocess.Popen[bytes]:
        started.append(args)
        return start(*args, **kwargs)

    monkeypatch.setattr(module.subprocess, "Popen", counted)
    fill(connection)
    with logins_of(server_url) as logins, logins.connect(ledger_url, logins.make("archiver")) as own:
        monkeypatch.setattr(module, "WORTH_A_PROCESS", 1 << 40)
        assert len(roll(own, settings, NOW, keep_days=135)) > 0
        assert started == []
        monkeypatch.setattr(module, "WORTH_A_PROCESS", 1)
        assert len(roll(own, settings, NOW)) > 0
        assert len(started) == 1
