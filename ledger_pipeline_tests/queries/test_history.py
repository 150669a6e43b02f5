"""What one execution's history tells beside its steps: the log, and the template at the version it follows."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from ledger_pipeline.ledger import Ledger
from ledger_pipeline.settings import Settings

DOCUMENT = {"name": "deploy", "steps": [{"name": "make", "tool_name": "t", "parameters": {"ratio": 0.1}}]}
LATER = {**DOCUMENT, "steps": [{"name": "made", "tool_name": "u"}], "status": "deprecated"}


@pytest.fixture(scope="module")
def ledger(module_ledger_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A ledger of its own."""
    settings = Settings(home=tmp_path_factory.mktemp("home"), database_url=SecretStr(module_ledger_url))
    with Ledger.open(settings) as opened:
        yield opened


@pytest.mark.mission("E4")
def test_the_log_and_the_template_at_its_version_are_told_also_after_a_prune(ledger: Ledger) -> None:
    ledger.templates.save(DOCUMENT)
    workflows = ledger.workflows
    execution_id = workflows.start("deploy").execution_id
    workflows.log(execution_id, "begins", step="make", details={"ratio": 0.1})
    workflows.log(execution_id, "is slow", level="warning")
    workflows.cancel(execution_id)
    ledger.templates.save(LATER)

    hot = ledger.queries.execution(execution_id)

    assert [(entry.level, entry.step_index, entry.step_name, entry.message) for entry in hot.log] == [
        ("info", 0, "make", "begins"),
        ("warning", None, None, "is slow"),
    ]
    assert hot.template
    assert (hot.template.version_number, hot.template.status) == (1, "deprecated")
    assert [(step.path, step.name, step.type, step.definition["tool_name"]) for step in hot.template.steps] == [
        ("0", "make", "action", "t")
    ]

    now = datetime.now(UTC) + timedelta(days=120)
    ledger.roll(now)
    ledger.build_marts(now)
    assert ledger.prune(now, 0).executions == 1
    assert ledger.queries.execution(execution_id) == hot


@pytest.mark.mission("E4")
def test_an_execution_without_a_template_that_is_known_has_none(ledger: Ledger) -> None:
    execution_id = ledger.workflows.start(definition=DOCUMENT).execution_id
    history = ledger.queries.execution(execution_id)
    assert (history.template, history.log) == (None, ())
