"""Bad input: one clear line, exit code 2, nothing stored."""

import gzip
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from ledger_pipeline.hot.database import Connection
from ledger_pipeline_tests.cli import CommandLine
from ledger_pipeline_tests.ingest.ledger_files import OTHER, begun, event, usage, written


@pytest.fixture
def cli(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ledger_url: str
) -> CommandLine:
    monkeypatch.setenv("LEDGER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LEDGER_DATABASE_URL", ledger_url)
    return CommandLine(capfd)


def refused(cli: CommandLine, *arguments: object) -> str:
    """The one line of a refusal."""
    answer = cli(*arguments)
    assert answer.code == 2, answer
    assert answer.err.startswith("error: "), answer
    assert answer.err.count("\n") == 1, answer
    assert "Traceback" not in answer.err
    return answer.err


def stored(connection: Connection) -> list[int]:
    """Row counts of everything that an import could leave behind."""
    tables = (
        "workflow_events",
        "execution_heads",
        "workflow_executions",
        "usage_keys",
        "append_keys",
        "append_staging",
    )
    row = connection.execute(
        "SELECT " + ", ".join(f"(SELECT count(*) FROM {table}) AS {table}" for table in tables)  # pyright: ignore
    ).fetchone()
    assert row is not None
    return list(row.values())


NOTHING = [0] * 6


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://nobody@127.0.0.1:1/none", "cannot be reached"),
        ("postgresql://nobody:s3cret@127.0.0.1:1/none", "cannot be reached"),
        ("no url at all", "is not a libpq URL"),
        ("postgresql://localhost:port/none", "the port is a number"),
    ],
)
def test_a_wrong_database_url(cli: CommandLine, monkeypatch: pytest.MonkeyPatch, url: str, says: str) -> None:
    monkeypatch.setenv("LEDGER_DATABASE_URL", url)
    line = refused(cli, "verify")
    assert says in line
    assert "LEDGER_DATABASE_URL" in line
    assert "s3cret" not in line


def test_a_port_in_use(cli: CommandLine) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        line = refused(cli, "up", "--port", taken.getsockname()[1])
    assert "--port" in line


def test_a_home_that_cannot_be_written(cli: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LEDGER_HOME", str(tmp_path / "file" / "home"))
    monkeypatch.delenv("LEDGER_DATABASE_URL")
    assert "LEDGER_HOME" in refused(cli, "verify")


def test_a_setting_out_of_range(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGER_HOT_DAYS", "0")
    assert "LEDGER_HOT_DAYS" in refused(cli, "verify")


@pytest.mark.parametrize("command", [["migrate"], ["verify"], ["migrate", "--check"]], ids=" ".join)
def test_a_half_migrated_database(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, empty_database_url: str, command: list[str]
) -> None:
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA ledger")
    monkeypatch.setenv("LEDGER_DATABASE_URL", empty_database_url)
    assert "half migrated" in refused(cli, *command)


def test_a_database_without_a_ledger(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, empty_database_url: str
) -> None:
    monkeypatch.setenv("LEDGER_DATABASE_URL", empty_database_url)
    assert "ledger-pipeline migrate" in refused(cli, "verify")


PICTURE = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01"


@pytest.mark.parametrize("importer", ["aider", "jsonl"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("picture.jsonl", PICTURE),
        ("picture.jsonl.gz", PICTURE),
        ("cut.jsonl.gz", gzip.compress(b'{"event": "launched"}\n' * 1000)[:-30]),
        ("empty.jsonl", b""),
        ("words.jsonl", b"just words\n"),
        ("list.jsonl", b"[1, 2]\n"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_is_not_what_it_claims(
    cli: CommandLine, connection: Connection, tmp_path: Path, importer: str, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    assert name in refused(cli, "import", importer, tmp_path / name)
    assert stored(connection) == NOTHING


def test_a_file_that_is_missing_among_others_stops_all(
    cli: CommandLine, connection: Connection, tmp_path: Path
) -> None:
    good = written(tmp_path / "good.jsonl", begun())
    assert "missing.jsonl" in refused(cli, "import", "jsonl", good, tmp_path / "missing.jsonl")
    assert stored(connection) == NOTHING


FUTURE = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
COMPLETED = event("WorkflowCompleted", output={})


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([event("WorkflowInvented")], "WorkflowInvented"),
        (
            [*begun(), event("LogRecorded", log_level="info", message="x", occurred_at="2025-01-07T09:00:00")],
            "occurred_at",
        ),
        ([*begun(), event("LogRecorded", log_level="info", message="x", occurred_at=FUTURE)], "future|ahead"),
        ([*begun(), usage(input_tokens=-1)], "input_tokens"),
        ([*begun(), usage(), usage()], "call-1"),
        ([*begun(), COMPLETED, event("WorkflowResumed")], "WorkflowResumed|ended|completed"),
        ([event("LogRecorded", OTHER, log_level="info", message="x")], "does not exist|not exist|no execution"),
    ],
    ids=[
        "unknown event type",
        "naive time",
        "time from the future",
        "negative token count",
        "second usage for one model call",
        "event after the end",
        "execution that does not exist",
    ],
)
def test_an_event_that_the_ledger_refuses(
    cli: CommandLine, connection: Connection, tmp_path: Path, lines: list[str], says: str
) -> None:
    line = refused(cli, "import", "jsonl", written(tmp_path / "events.jsonl", lines))
    assert any(word in line for word in says.split("|")), line
    assert stored(connection) == NOTHING


@pytest.mark.parametrize("command", ["events", "replay"])
def test_an_execution_that_does_not_exist(cli: CommandLine, connection: Connection, command: str) -> None:
    assert f"{OTHER} does not exist" in refused(cli, command, OTHER)
    assert stored(connection) == NOTHING


@pytest.mark.parametrize(
    "arguments",
    [
        ["daily", "--now", "2026-11-20T00:00:00"],
        ["daily", "--now", "2026-11-20"],
        ["roll", "--now", "yesterday"],
        ["replay", str(OTHER), "--as-of", "2026-11-20T00:00:00"],
        ["replay", str(OTHER), "--known-at", "2026-11-20T00:00:00"],
        ["simulate", "--executions", "1", "--days", "1", "--now", "2026-11-20T00:00:00"],
    ],
    ids=" ".join,
)
def test_a_time_without_a_zone(cli: CommandLine, connection: Connection, arguments: list[str]) -> None:
    assert "2026-11-20T00:00:00Z" in refused(cli, *arguments)
    assert stored(connection) == NOTHING


def test_a_rejected_line_is_named_and_the_rest_is_imported(
    cli: CommandLine, connection: Connection, tmp_path: Path
) -> None:
    file = written(tmp_path / "events.jsonl", [*begun(), event("LogRecorded", OTHER, log_level="info", message="x")])
    answer = cli("import", "jsonl", file)
    assert answer.code == 2
    assert "line 3" in answer.err
    assert answer.err.count("\n") == 1
    assert stored(connection)[:2] == [2, 1]
