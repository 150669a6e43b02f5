"""`seed`: three executions as people know them, with files that are there and open."""

import hashlib
import json
import re
import struct
import uuid
import zlib
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from ledger_pipeline import Ledger
from ledger_pipeline.errors import InvalidInput
from ledger_pipeline.events.state import ExecutionState
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.ingest.seed.scenarios import Seeded
from ledger_pipeline.replay.check_projections import check_projections
from ledger_pipeline.replay.replay import replay
from ledger_pipeline.settings import Settings
from ledger_pipeline.templates.inputs import check_input
from ledger_pipeline.templates.plan import plan

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def ledger(module_ledger_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A ledger that was seeded."""
    settings = Settings(home=tmp_path_factory.mktemp("home"), database_url=SecretStr(module_ledger_url))
    with Ledger.open(settings) as opened:
        yield opened


@pytest.fixture(scope="module")
def connection(ledger: Ledger) -> Connection:
    return ledger.connection


@pytest.fixture(scope="module")
def seeded(ledger: Ledger) -> Seeded:
    return ledger.seed(NOW)


def state(connection: Connection, seeded: Seeded, name: str) -> ExecutionState:
    return replay(connection, Path("/nonexistent"), seeded.executions[name])


def steps(of: ExecutionState) -> dict[str, str]:
    return {step.step_name: step.status.value for step in of.steps.values()}


def content(of: ExecutionState, name: str) -> bytes:
    artifact = next(each for each in of.artifacts.values() if each.name == name)
    found = Path(urlsplit(artifact.uri).path).read_bytes()
    assert (len(found), hashlib.sha256(found).hexdigest()) == (artifact.size_bytes, artifact.sha256)
    return found


@pytest.mark.mission("B6")
def test_a_completed_cost_analysis(connection: Connection, seeded: Seeded) -> None:
    run = state(connection, seeded, "cost_analysis")
    assert run.workflow_type == "cost_analysis"
    assert steps(run) == dict.fromkeys(
        ["collect_metrics", "analyze_gpu", "analyze_storage", "generate_recommendations", "generate_report"],
        "completed",
    )
    assert run.status.value == "completed"
    assert run.progress_percentage == 100
    assert run.started_at is not None
    assert run.completed_at is not None
    assert timedelta(minutes=14) < run.completed_at - run.started_at < timedelta(minutes=16)
    assert {(a.artifact_type, a.content_type) for a in run.artifacts.values()} == {
        ("report", "application/pdf"),
        ("recommendation", "application/json"),
        ("chart", "image/png"),
    }
    assert [a.status for a in run.approvals.values()] == ["approved"]
    assert run.approved_by == next(iter(run.approvals.values())).decided_by
    # The first attempt met a limit of the billing interface.
    assert {step.step_name: step.attempt for step in run.steps.values()}["collect_metrics"] == 2


@pytest.mark.mission("B6")
def test_a_running_performance_tuning(connection: Connection, seeded: Seeded) -> None:
    run = state(connection, seeded, "performance_tuning")
    assert run.status.value == "running"
    assert Counter(steps(run).values()) == {"completed": 2, "running": 1, "pending": 1}
    assert [a.artifact_type for a in run.artifacts.values()] == ["metrics"]
    assert run.open_calls == 1
    assert json.loads(content(run, "baseline-metrics.json"))["latency_ms"]["p95"] == 412


@pytest.mark.mission("B6")
def test_a_failed_quality_check(connection: Connection, seeded: Seeded) -> None:
    run = state(connection, seeded, "quality_check")
    assert run.status.value == "failed"
    assert run.error_message is not None
    assert run.error_message.startswith("quality threshold breach")
    assert Counter(steps(run).values()) == {"completed": 2, "failed": 1}
    assert {a.artifact_type for a in run.artifacts.values()} == {"diagnostic", "alert"}
    failed = next(step for step in run.steps.values() if step.status == "failed")
    assert (failed.attempt, failed.max_attempts) == (2, 2)
    assert json.loads(content(run, "quality-alert.json"))["severity"] == "critical"
    assert json.loads(content(run, "diagnostic-results.json"))["cases"] == 240


@pytest.mark.mission("B1")
def test_the_report_opens_as_pdf(connection: Connection, seeded: Seeded) -> None:
    document = content(state(connection, seeded, "cost_analysis"), "cost-analysis.pdf")
    assert document.startswith(b"%PDF-1.4")
    assert document.endswith(b"%%EOF\n")
    start = int(document.rpartition(b"startxref\n")[2].split()[0])
    table = document[start:].split(b"trailer")[0].split(b"\n")
    assert table[0] == b"xref"
    for number, entry in enumerate(table[3:-1], start=1):
        assert document[int(entry[:10]) :].startswith(b"%d 0 obj\n" % number)
    length = re.search(rb"/Length (\d+)", document)
    assert length is not None
    stream = document.partition(b"stream\n")[2]
    assert stream[int(length[1]) :].startswith(b"\nendstream")
    assert b"Aurora Robotics" in stream


@pytest.mark.mission("B1")
def test_the_chart_opens_as_png(connection: Connection, seeded: Seeded) -> None:
    picture = content(state(connection, seeded, "cost_analysis"), "spend-by-service.png")
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    place, chunks = 8, dict[bytes, bytes]()
    while place < len(picture):
        (length,) = struct.unpack(">I", picture[place : place + 4])
        kind, data = picture[place + 4 : place + 8], picture[place + 8 : place + 8 + length]
        assert struct.pack(">I", zlib.crc32(kind + data)) == picture[place + 8 + length : place + 12 + length]
        chunks[kind] = data
        place += 12 + length
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    rows = zlib.decompress(chunks[b"IDAT"])
    assert (width, height, len(rows)) == (640, 360, height * (1 + 3 * width))
    assert len({rows[n : n + 3] for n in range(1, 200_000, 3)}) > 3


@pytest.mark.mission("B4")
def test_every_model_call_has_a_price_of_the_book(connection: Connection, seeded: Seeded) -> None:
    calls = connection.execute(
        "SELECT pricing_status, cost_usd, payload -> 'prices' AS prices FROM workflow_events"
        " WHERE event_type = 'TokensUpdated'"
    ).fetchall()
    assert len(calls) >= 8
    assert all(call["pricing_status"] == "priced" and call["cost_usd"] > 0 and call["prices"] for call in calls)
    runs = [state(connection, seeded, name) for name in seeded.executions]
    assert all(Decimal(0) < run.total_cost < 5 for run in runs)
    assert all(run.customer_id and run.user_id and run.drive_id and run.agent_id for run in runs)
    assert all(run.log_entries and run.input_parameters and run.workflow_metadata for run in runs)


@pytest.mark.mission("B6")
@pytest.mark.mission("A9")
def test_seeding_again_adds_nothing_whatever_the_time(ledger: Ledger, connection: Connection, seeded: Seeded) -> None:
    def everything() -> tuple[object, ...]:
        tables = ("workflow_events", "workflow_executions", "customers", "users", "agents", "drives")
        tables += ("workflow_templates", "workflow_template_versions", "workflow_template_steps")
        rows = [connection.execute(f"SELECT t::text AS row FROM {name} t ORDER BY 1").fetchall() for name in tables]
        return (*rows, sorted((ledger.settings.home / "artifacts").rglob("*")))

    assert seeded.new_events == seeded.events
    before = everything()
    for now in (NOW, NOW - timedelta(days=400)):
        again = ledger.seed(now)
        assert (again.executions, again.events, again.new_events) == (seeded.executions, seeded.events, 0)
    assert everything() == before
    report = check_projections(connection, Path("/nonexistent"))
    assert report.ok, report.first
    sources = connection.execute("SELECT DISTINCT source FROM workflow_events").fetchall()
    assert sources == [{"source": "seed"}]


def test_a_time_to_come_is_refused(ledger: Ledger) -> None:
    with pytest.raises(InvalidInput, match=r"now: .* is ahead of the server's clock"):
        ledger.seed(NOW + timedelta(days=1))


@pytest.mark.mission("B6")
@pytest.mark.mission("E2")
def test_each_execution_follows_a_template_of_its_drive(ledger: Ledger, connection: Connection, seeded: Seeded) -> None:
    for name in seeded.executions:
        run = state(connection, seeded, name)
        assert run.template_id
        template = ledger.templates.get(run.template_id)
        assert (template.name, template.version_number) == (run.workflow_name, run.template_version)
        assert (str(template.drive_id), str(template.created_by)) == (run.drive_id, run.user_id)
        assert template.status == "active"
        assert check_input(template.definition, run.input_parameters) == run.input_parameters
        planned = {step.step_name: step for step in run.steps.values()}
        for entry in plan(template.definition, uuid.uuid4, template_steps=template.step_ids):
            step = planned.pop(entry.step_name)
            assert str(entry.template_step_id) == step.template_step_id
            assert (entry.path, entry.max_attempts, entry.config) == (step.path, step.max_attempts, step.step_config)
            assert step.tool_name in (None, entry.config.get("tool_name"))
            assert step.agent_id
            assert step.agent_name == entry.agent_name or entry.agent_name is None
        assert planned == {}
    shown = ledger.queries.executions(template=run.template_id).items
    assert [str(execution.execution_id) for execution in shown] == [run.id]
