"""A ledger whose cold store is object storage, from the command line: its whole life, and what an auditor does."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger_pipeline.cold import object_store
from ledger_pipeline.cold.manifest import committed_weeks
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.settings import Bucket, Settings
from ledger_pipeline_tests.cli import CommandLine
from ledger_pipeline_tests.object_storage import SECRETS

pytestmark = pytest.mark.mission("A5")
VERIFIER = Path(__file__).parents[1] / "verify_ledger.py"
NOW = "2025-06-01T00:00:00Z"


@pytest.fixture
def cli(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, s3_settings: Settings, ledger_url: str
) -> CommandLine:
    monkeypatch.setenv("LEDGER_HOME", str(s3_settings.home))
    monkeypatch.setenv("LEDGER_COLD_URL", str(s3_settings.cold_url))
    monkeypatch.setenv("LEDGER_DATABASE_URL", ledger_url)
    return CommandLine(capfd)


def downloaded(bucket: Bucket, folder: Path) -> Path:
    """What `aws s3 sync` makes of the bucket's part."""
    s3 = object_store.client()
    for each in s3.list_objects_v2(Bucket=bucket.name)["Contents"]:
        path = folder / each["Key"].removeprefix(f"{bucket.prefix}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(bucket.name, each["Key"], str(path))
    return folder


@pytest.mark.slow
def test_a_whole_life(
    cli: CommandLine,
    connection: Connection,
    s3_settings: Settings,
    bucket: Bucket,
    use_endpoint: Callable[[str], None],
    tmp_path: Path,
) -> None:
    assert cli("simulate", "--executions", 60, "--days", 30, "--now", "2025-03-01T00:00:00Z").code == 0
    (before,) = connection.execute("SELECT count(*) AS events FROM workflow_events").fetchall()
    assert cli("export", "jsonl", "--output", tmp_path / "before.jsonl").code == 0
    # A process of its own: Dagster's imports warn, and warnings are errors here.
    job = [sys.executable, "-m", "ledger_pipeline", "daily", "--now", NOW]
    daily = subprocess.run(job, capture_output=True, text=True, check=False)
    assert daily.returncode == 0, daily.stdout + daily.stderr
    weeks = committed_weeks(connection)
    assert sum(week.events for week in weeks) == before["events"]
    assert not (s3_settings.home / "cold").exists()

    assert cli("verify").code == 0
    assert cli("export", "jsonl", "--output", tmp_path / "after.jsonl").code == 0
    assert sorted((tmp_path / "before.jsonl").read_text().splitlines()) == sorted(
        (tmp_path / "after.jsonl").read_text().splitlines()
    )
    (row,) = connection.execute("SELECT id FROM execution_heads WHERE execution_kind = 'workflow' LIMIT 1").fetchall()
    event = json.loads(cli("events", row["id"], "--json").out.splitlines()[0])
    assert cli("replay", event["execution_id"]).code == 0
    assert cli("query", "execution", event["execution_id"]).code == 0
    assert event["event_id"] in cli("prove", event["event_id"], "--json").out
    counted = cli("sql", "SELECT count(*) AS n FROM marts.executions", "--format", "json")
    assert counted.data[0]["n"] >= 60
    assert cli("restore", "--week", weeks[0].week).code == 0
    assert "0 files of no week" in cli("roll", "--orphans", "--now", NOW).out

    cold = downloaded(bucket, tmp_path / "downloaded")
    audited = subprocess.run(
        [sys.executable, "-I", str(VERIFIER), "--cold", str(cold), "--notes", str(s3_settings.home / "notes")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (audited.returncode, audited.stdout.splitlines()[-1]) == (0, "all as recorded"), audited.stdout

    object_store.remove(bucket, weeks[0].files[0].name)
    refused = cli("verify")
    assert (refused.code, f"{bucket}/{weeks[0].files[0].name} is missing" in refused.out) == (1, True)
    use_endpoint("http://127.0.0.1:9")
    unreachable = cli("verify")
    assert (unreachable.code, unreachable.err.count("\n")) == (2, 1)
    assert "cannot be reached" in unreachable.err
    written = "".join(path.read_text(errors="replace") for path in s3_settings.home.rglob("*.log"))
    assert not [secret for secret in SECRETS.values() if secret in written + unreachable.err + daily.stderr]
