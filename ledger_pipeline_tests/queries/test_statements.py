"""The statements behind each answer: a fixed number, and each on an index, on a ledger of a million events."""

import json
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg import sql
from pydantic import SecretStr

from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline.ledger import Ledger
from ledger_pipeline.queries.answers import Queries
from ledger_pipeline.settings import Settings
from ledger_pipeline.templates.store import TemplatePage, Templates
from ledger_pipeline_tests.queries.conftest import NOW, Statement, recording

EXECUTIONS, DAYS, EVENTS = 200, 20, 1_000_000
MULTIPLY = (Path(__file__).parent / "multiply.sql").read_text()
MANY_TEMPLATES = (Path(__file__).parent / "many_templates.sql").read_text()
PROJECTIONS = (
    *("execution_heads", "workflow_executions", "workflow_steps", "executions"),
    *("workflow_artifacts", "workflow_approvals", "execution_log"),
)
WATCHED = (
    *("_events", "execution_heads", "workflow_executions", "workflow_steps", "executions"),
    *("workflow_artifacts", "workflow_approvals", "execution_log", "workflow_templates", "workflow_template_steps"),
)
CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "SET ", "LOCK TABLE ")
"""How statements begin that have no plan."""


class Answers(Queries):
    """The answers, with the listing of templates beside them."""

    def templates(self, **filters: Any) -> TemplatePage:
        """A page of templates."""
        with self._connect() as connection:
            return Templates(connection).list(**filters)


class Recorder:
    """The answers of a ledger, with every statement that they send."""

    def __init__(self, ledger: Ledger) -> None:
        self.statements: list[Statement] = []
        self.queries = Answers(ledger.settings, self._connect)
        self._url = ledger.url

    @contextmanager
    def _connect(self) -> Generator[Connection]:
        with connect(self._url, autocommit=True) as connection:
            connection.cursor_factory = recording(self.statements)
            yield connection

    def asked(self, question: Callable[[Answers], Any]) -> list[Statement]:
        """What the answer to a question sends."""
        self.statements.clear()
        question(self.queries)
        return list(self.statements)


def multiply(ledger: Ledger, copies: int, tables: tuple[str, ...]) -> None:
    """Copies the rows of some tables, on a connection of its own."""
    names = ", ".join(f"'{name}'" for name in tables)
    with connect(ledger.url, autocommit=True) as connection:
        connection.execute(MULTIPLY.replace("/*tables*/", names).replace("copies", str(copies)).encode())


@pytest.fixture(scope="module")
def ledger(module_ledger_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A few thousand real events, multiplied to a million: for plans and numbers only, no replay would hold."""
    settings = Settings(home=tmp_path_factory.mktemp("home"), database_url=SecretStr(module_ledger_url))
    with Ledger.open(settings) as opened:
        opened.simulate(EXECUTIONS, DAYS, 7, NOW)
        with connect(module_ledger_url, autocommit=True) as connection:
            row = connection.execute("SELECT count(*) AS events FROM workflow_events").fetchone()
            assert row
            copies = EVENTS // row["events"]
            with ThreadPoolExecutor(2) as both:
                for done in [
                    both.submit(multiply, opened, copies, part) for part in (PROJECTIONS, ("workflow_events",))
                ]:
                    done.result()
            row = connection.execute("SELECT count(*) AS events FROM workflow_events").fetchone()
            assert row
            assert row["events"] > 0.99 * EVENTS
            connection.execute(MANY_TEMPLATES.encode())
            # Of each of 119 columns of hundreds of tables: a tenth of the sample tells the planner enough.
            connection.execute("SET default_statistics_target = 10")
            connection.execute("ANALYZE")
        yield opened


@pytest.fixture(scope="module")
def recorder(ledger: Ledger) -> Recorder:
    """Its answers, recorded."""
    return Recorder(ledger)


@pytest.fixture(scope="module")
def known(ledger: Ledger) -> dict[str, Any]:
    """Values that filters find something with."""
    with connect(ledger.url) as connection:
        row = connection.execute(
            "SELECT * FROM workflow_executions WHERE workflow_type IS NOT NULL AND triggered_by IS NOT NULL"
            " AND status = 'completed' AND id IN (SELECT execution_id FROM workflow_artifacts) LIMIT 1"
        ).fetchone()
    assert row
    return row


def questions(known: dict[str, Any]) -> dict[str, Callable[[Answers], Any]]:
    """Every answer, by each of its filters."""
    since, until = NOW - timedelta(days=9), NOW - timedelta(days=8)
    asked: dict[str, Callable[[Answers], Any]] = {
        "executions": lambda q: q.executions(),
        "executions, last page": lambda q: q.executions(cursor=q.executions(page_size=500).next_cursor, page_size=500),
        "executions between": lambda q: q.executions(started_from=since, started_to=until),
        "executions of a user that failed": lambda q: q.executions(user=known["user_id"], status="failed"),
        "executions of nobody": lambda q: q.executions(user=UUID(int=7)),
        "executions of an unknown name": lambda q: q.executions(workflow_name="unknown"),
        "running": lambda q: q.running(),
        "running of a user": lambda q: q.running(user=known["user_id"]),
        "running of a drive": lambda q: q.running(drive=known["drive_id"]),
        "running of an agent": lambda q: q.running(agent=known["agent_id"]),
        "templates": lambda q: q.templates(),
        "templates, next page": lambda q: q.templates(cursor=q.templates().next_cursor),
        "templates of a drive": lambda q: q.templates(drive_id=known["drive_id"]),
        "templates of a creator": lambda q: q.templates(created_by=known["user_id"]),
        "execution": lambda q: q.execution(known["id"]),
        "artifacts": lambda q: q.artifacts(known["id"]),
        "artifacts of a type": lambda q: q.artifacts(known["id"], artifact_type="report"),
        "audit": lambda q: q.audit(),
        "audit, next page": lambda q: q.audit(cursor=q.audit().next_cursor),
        "audit between": lambda q: q.audit(occurred_from=since, occurred_to=until),
        "audit of a type": lambda q: q.audit(event_type="ApprovalApplied"),
        "audit of an execution": lambda q: q.audit(execution=known["id"]),
        "errors": lambda q: q.errors(),
        "errors between": lambda q: q.errors(occurred_from=since, occurred_to=until),
        "errors of a user": lambda q: q.errors(user=known["user_id"]),
        "errors of nobody": lambda q: q.errors(user=UUID(int=7)),
        "statistics": lambda q: q.statistics(known["user_id"]),
        "statistics of nobody": lambda q: q.statistics(UUID(int=7)),
    }
    for name, column in {
        "user": "user_id",
        "drive": "drive_id",
        "customer": "customer_id",
        "agent": "agent_id",
    }.items():
        asked[f"executions by {name}"] = lambda q, name=name, column=column: q.executions(**{name: known[column]})
    for name in ("status", "mode", "workflow_type", "workflow_name", "triggered_by"):
        asked[f"executions by {name}"] = lambda q, name=name: q.executions(**{name: known[name]})
    asked["executions by template"] = lambda q: q.executions(template=uuid4())
    return asked


def scans(plan: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Kind and relation of every scan of a plan."""
    if "Relation Name" in plan:
        yield plan["Node Type"], plan["Relation Name"]
    for inner in plan.get("Plans", ()):
        yield from scans(inner)


def is_watched(relation: str) -> bool:
    return any(part in relation if part == "_events" else part == relation for part in WATCHED)


@pytest.mark.mission("C3")
@pytest.mark.mission("A8")
@pytest.mark.slow
def test_no_answer_scans_events_executions_or_steps_in_sequence(
    ledger: Ledger, recorder: Recorder, known: dict[str, Any]
) -> None:
    faults: list[str] = []
    explained: Counter[str] = Counter()
    with connect(ledger.url, autocommit=True) as connection:
        row = connection.execute("SELECT sum(last_sequence) AS events FROM execution_heads").fetchone()
        assert row
        assert row["events"] > 0.9 * EVENTS
        for name, question in questions(known).items():
            for statement, parameters in recorder.asked(question):
                composed = statement if isinstance(statement, sql.Composable) else sql.SQL(statement)
                if composed.as_string(connection).lstrip().upper().startswith(CONTROL):
                    continue
                row = connection.execute(sql.SQL("EXPLAIN (FORMAT JSON) ") + composed, parameters).fetchone()
                assert row
                explained[name] += 1
                plan = next(iter(row.values()))
                plan = json.loads(plan) if isinstance(plan, str) else plan
                found = {relation for kind, relation in scans(plan[0]["Plan"]) if kind == "Seq Scan"}
                faults += [f"{name}: {relation}" for relation in sorted(found) if is_watched(relation)]
    assert faults == []
    assert {name: explained[name] for name in questions(known) if not explained[name]} == {}


@pytest.mark.mission("C3")
@pytest.mark.slow
def test_an_answer_sends_the_same_number_of_statements_whatever_it_holds(
    recorder: Recorder, known: dict[str, Any]
) -> None:
    most = {
        "templates": 1,
        "executions": 3,
        "running": 3,
        "execution": 10,
        "artifacts": 3,
        "audit": 5,
        "errors": 5,
        "statistics": 3,
    }
    for name, question in questions(known).items():
        if "page" not in name:
            kind = name.split()[0].rstrip(",")
            assert len(recorder.asked(question)) <= most[kind], name
    for size in (1, 10, 500):
        assert len(recorder.asked(lambda q, size=size: q.executions(page_size=size))) == 3
        assert len(recorder.asked(lambda q, size=size: q.audit(page_size=size))) == 4
        assert len(recorder.asked(lambda q, size=size: q.audit(page_size=size, execution=known["id"]))) == 3
