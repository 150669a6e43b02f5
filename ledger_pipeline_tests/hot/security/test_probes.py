"""What SQL of one's own can learn of another drive by its conditions: as much as docs/security.md says, and no more.

PostgreSQL judges conditions with operators that it takes for safe before a policy; counts of rows then tell of them.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from psycopg import sql

from ledger_pipeline.hot.acting import act_for
from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline_tests.conftest import ledgers
from ledger_pipeline_tests.hot.security.logins import logins_of
from ledger_pipeline_tests.hot.security.two_drives import DriveStory, tell

pytestmark = [pytest.mark.mission("E6"), pytest.mark.mission("D5")]

DOCUMENT = Path(__file__).parents[3] / "docs" / "security.md"
NAMES = ("reader", "application")
ANALYZED = sql.SQL("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF, FORMAT JSON) ")
# Conditions, each with a value that makes it true of a row of drive Y alone, and one that makes it true of none.
TOLD: dict[tuple[str, str], tuple[Any, Any]] = {
    ("workflow_steps", "tool_name = %s"): ("omega-y", "omega-z"),
    ("workflow_steps", "tool_name >= %s"): ("omega", "p"),
    ("workflow_executions", "workflow_name >= %s"): ("workflow o", "workflow p"),
    ("workflow_executions", "mode = %s"): ("omega-y", "omega-z"),
    ("execution_log", "message >= %s"): ("omega", "p"),
    ("workflow_events", "workflow_name >= %s AND event_type = 'LogRecorded'"): ("workflow o", "workflow p"),
    ("workflow_events", "message >= %s AND event_type = 'LogRecorded'"): ("omega", "p"),
    ("drives", "name >= %s"): ("drive o", "drive p"),
}
KEPT: dict[tuple[str, str], tuple[Any, Any]] = {
    ("workflow_executions", "mode <> 'alpha-x' AND total_cost >= %s"): ("0.25", "0.26"),
    ("workflow_executions", "id = {execution} AND total_cost >= %s"): ("0.25", "0.26"),
    ("workflow_executions", "id = {execution} AND status = %s"): ("running", "failed"),
    ("workflow_executions", "id = {execution} AND mode LIKE %s"): ("omega%", "omicron%"),
    ("workflow_executions", "id = {execution} AND input_parameters ->> 'to' = %s"): ("omega-y", "omega-z"),
    ("workflow_executions", "id = {execution} AND accumulated_context @> %s::jsonb"): (
        '{"note": "omega-y"}',
        '{"n": 1}',
    ),
    ("executions", "id = {call} AND total_cost >= %s"): ("0.25", "0.26"),
    ("workflow_steps", "id = {step} AND status = %s"): ("running", "failed"),
    ("workflow_events", "execution_id = {execution} AND payload::text LIKE %s"): ("%omega%", "%omicron%"),
}
"""Their operators are not taken for safe, so nothing is learnt."""


@dataclass
class Probed:
    """A ledger of two drives, with connections of two logins that are users of drive X."""

    root: Connection
    as_: dict[str, Connection]
    y: DriveStory


def probed(resources: ExitStack, server_url: str, template_database: str) -> Probed:
    logins = resources.enter_context(logins_of(server_url))
    url = resources.enter_context(ledgers(server_url, template_database))()
    root = resources.enter_context(connect(url, autocommit=True))
    reader, application = logins.make("reader"), logins.make("application")
    x, y = tell(root, "alpha-x", {"read": reader}), tell(root, "omega-y", {})
    as_ = {
        name: resources.enter_context(logins.connect(url, login))
        for name, login in zip(NAMES, (reader, application), strict=True)
    }
    act_for(as_["application"], x.users["read"])
    root.execute("ANALYZE")
    for connection in as_.values():
        # Which of several processes reads a row is chance.
        connection.execute("SET max_parallel_workers_per_gather = 0")
    return Probed(root, as_, y)


@pytest.fixture(scope="module")
def trusting(server_url: str, template_database: str) -> Iterator[Probed]:
    """A ledger as it is made."""
    with ExitStack() as resources:
        yield probed(resources, server_url, template_database)


@pytest.fixture(scope="module")
def distrusting(server_url: str, template_database: str) -> Iterator[Probed]:
    """A ledger after what the document gives a superuser."""
    (statement,) = re.findall(r"```sql\n(DO .*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    with ExitStack() as resources:
        made = probed(resources, server_url, template_database)
        made.root.execute(statement)
        yield made


def counted(node: dict[str, Any]) -> Any:
    """A plan's nodes with every number that ANALYZE counts, and nothing that names a value."""
    numbers = {name: value for name, value in node.items() if isinstance(value, (int, float))}
    return [node["Node Type"], numbers, [counted(inner) for inner in node.get("Plans", ())]]


def read_so_far(connection: Connection) -> Counter[tuple[str, str]]:
    """How many rows the session has read of each table, in sequence and by indexes, as anybody may look up."""
    rows = connection.execute(
        "SELECT relname, seq_tup_read, idx_tup_fetch FROM pg_stat_xact_user_tables WHERE schemaname = 'ledger'"
    ).fetchall()
    return Counter({(row["relname"], kind): row[kind] for row in rows for kind in ("seq_tup_read", "idx_tup_fetch")})


def seen(of: Probed, name: str, place: str, condition: str, value: Any) -> str:
    """All that a login is shown by a condition on a table: the rows, the counts, and those of the statistics."""
    connection = of.as_[name]
    given = {"execution": of.y.execution, "call": of.y.call, "step": of.y.step}
    where = sql.SQL(condition).format(**{key: sql.Literal(id) for key, id in given.items()})  # pyright: ignore[reportArgumentType]
    question = sql.SQL("SELECT * FROM {} WHERE ").format(sql.Identifier(place)) + where
    shown: list[Any] = []
    # In sequence, and as in tables of many rows, where indexes are worth their while.
    for sequential in ("on", "off"):
        with connection.transaction(force_rollback=True):
            connection.execute("SELECT set_config('enable_seqscan', %s, true)", (sequential,))
            before = read_so_far(connection)
            rows = connection.execute(question, (value,)).fetchall()
            fetched = read_so_far(connection) - before
            explained = connection.execute(ANALYZED + question, (value,)).fetchone()
        assert explained is not None
        assert of.y.mark not in json.dumps(rows, default=str)
        shown.append([len(rows), counted(explained["QUERY PLAN"][0]["Plan"]), sorted(fetched.items())])
    return json.dumps(shown)


def tells(of: Probed, name: str, place: str, condition: str, values: tuple[Any, Any]) -> bool:
    """Whether a login sees of which of two values a condition on another drive's row is true."""
    # Once before: what is looked up in caches first counts but once.
    seen(of, name, place, condition, values[0])
    return seen(of, name, place, condition, values[0]) != seen(of, name, place, condition, values[1])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("place", "condition"), TOLD)
def test_a_condition_of_trusted_operators_tells_of_rows_of_another_drive(
    trusting: Probed, name: str, place: str, condition: str
) -> None:
    assert tells(trusting, name, place, condition, TOLD[place, condition])


def test_a_text_of_another_drive_is_read_letter_by_letter(trusting: Probed) -> None:
    condition = 'tool_name COLLATE "C" > \'alpha-x\' AND tool_name COLLATE "C" >= %s'
    none = seen(trusting, "reader", "workflow_steps", condition, "\x7f")
    read = ""
    for _ in range(len("omega-y")):
        read += max(
            letter
            for letter in map(chr, range(32, 127))
            if seen(trusting, "reader", "workflow_steps", condition, read + letter) != none
        )
    assert read == "omega-y"


@pytest.mark.parametrize(("place", "condition"), KEPT)
def test_money_statuses_and_json_of_another_drive_are_not_told(
    trusting: Probed, distrusting: Probed, place: str, condition: str
) -> None:
    for of in (trusting, distrusting):
        assert not tells(of, "reader", place, condition, KEPT[place, condition])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("place", "condition"), TOLD)
def test_once_operators_are_not_trusted_no_condition_tells(
    distrusting: Probed, name: str, place: str, condition: str
) -> None:
    assert not tells(distrusting, name, place, condition, TOLD[place, condition])


@pytest.mark.parametrize("name", NAMES)
def test_then_an_id_is_no_longer_found_by_its_range_but_by_itself_alone(distrusting: Probed, name: str) -> None:
    step = distrusting.y.step
    both = (step, UUID(int=step.int + 1))
    assert not tells(distrusting, name, "workflow_steps", "id >= %s", both)
    assert tells(distrusting, name, "workflow_steps", "id = %s", both)


@pytest.mark.parametrize("name", NAMES)
def test_then_the_rows_of_ones_own_drive_are_what_they_were(trusting: Probed, distrusting: Probed, name: str) -> None:
    for place in ("workflow_executions", "workflow_steps", "execution_log", "workflow_events", "workflow_templates"):
        counts = [
            of.as_[name].execute(sql.SQL("SELECT FROM {}").format(sql.Identifier(place))).rowcount
            for of in (trusting, distrusting)
        ]
        assert counts[0] == counts[1] > 0, place
