"""The ledger as one object: prices that change, repetitions, processes that come at the same time."""

import subprocess
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from ledger_pipeline import Ledger, events, ledger
from ledger_pipeline.hot.database import connect
from ledger_pipeline.settings import Settings

NOW = datetime.now(UTC)
DEARER = """
INSERT INTO model_pricing
    (provider, model, usage_kind, usd_per_million, valid_from, known_from, source, operator_id, reason)
VALUES ('openai', 'gpt-4o', 'input', 1000, '2020-01-01Z', now() - interval '1 minute', 'admin', 'tester', 'test')
"""


def usage(model_call_id: str) -> events.TokensUpdated:
    return events.TokensUpdated(occurred_at=NOW, model="gpt-4o", model_call_id=model_call_id, input_tokens=1000)


@pytest.fixture
def settings(ledger_url: str, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, database_url=SecretStr(ledger_url))


@pytest.mark.mission("A12")
def test_a_price_set_elsewhere_counts_and_a_repetition_is_still_known(
    settings: Settings, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "BOOK_SECONDS", 0.0)
    execution_id = uuid.uuid4()
    with Ledger.open(settings) as opened, connect(ledger_url, autocommit=True) as elsewhere:
        opened.append(execution_id, [events.WorkflowCreated(occurred_at=NOW), usage("1")], idempotency_key="k")
        elsewhere.execute(DEARER)
        opened.append(execution_id, [usage("2")])
        again = opened.append(execution_id, [events.WorkflowCreated(occurred_at=NOW), usage("1")], idempotency_key="k")
        costs = [row["cost_usd"] for row in opened.events(execution_id) if row["event_type"] == "TokensUpdated"]
    assert again.repeated
    assert costs[1] == 1 > costs[0] > 0


def test_processes_that_come_at_once_to_a_new_home_all_find_it_set_up(tmp_path: Path) -> None:
    code = (
        "from ledger_pipeline import Ledger\n"
        "with Ledger.open() as opened: print(len(opened.book.resolve(None, 'gpt-4o').model))"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env={"LEDGER_HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(3)
    ]
    for process in started:
        _, complaint = process.communicate(timeout=120)
        assert process.returncode == 0, complaint.decode()
