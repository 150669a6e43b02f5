"""What conditions of one's own SQL can learn of another drive: a member's nothing, a program's what is documented.

PostgreSQL judges conditions with operators that it takes for safe before a policy; counts of rows then tell of them.
"""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
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
PAIRS: tuple[tuple[str, str, str], ...] = (
    ("workflow_steps", "id = {step}", "id = {none}"),
    ("workflow_steps", "id = {step} AND tool_name IS NULL", "id = {step} AND tool_name IS NOT NULL"),
    ("workflow_templates", "id = {template} AND is_public", "id = {template} AND NOT is_public"),
)
"""What needs no operator, and ids that one knows: one of the two is true of a row of drive Y."""


@dataclass
class Probed:
    """A ledger of two drives, with connections of two logins that are users of drive X."""

    root: Connection
    as_: dict[str, Connection]
    y: DriveStory


@pytest.fixture(scope="module")
def probed(server_url: str, template_database: str) -> Iterator[Probed]:
    """A ledger whose users of drive X are a reader, an application and a member."""
    with ExitStack() as resources:
        logins = resources.enter_context(logins_of(server_url))
        url = resources.enter_context(ledgers(server_url, template_database))()
        root = resources.enter_context(connect(url, autocommit=True))
        names = {kind: logins.make(kind) for kind in ("reader", "application", "member")}
        x, y = tell(root, "alpha-x", {"read": names["reader"], "write": names["member"]}), tell(root, "omega-y", {})
        as_ = {kind: resources.enter_context(logins.connect(url, login)) for kind, login in names.items()}
        act_for(as_["application"], x.users["read"])
        as_["member"].execute("SET search_path = ledger_member")
        root.execute("ANALYZE")
        for connection in as_.values():
            # Which of several processes reads a row is chance.
            connection.execute("SET max_parallel_workers_per_gather = 0")
        yield Probed(root, as_, y)


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


def seen(of: Probed, name: str, place: str, condition: str, *values: Any) -> str:
    """All that a login is shown by a condition on a table: the rows, the counts, and those of the statistics."""
    connection = of.as_[name]
    given = {"execution": of.y.execution, "call": of.y.call, "step": of.y.step, "template": of.y.template}
    given |= {"none": UUID(int=1)}
    where = sql.SQL(condition).format(**{key: sql.Literal(id) for key, id in given.items()})  # pyright: ignore[reportArgumentType]
    question = sql.SQL("SELECT * FROM {} WHERE ").format(sql.Identifier(place)) + where
    shown: list[Any] = []
    # In sequence, and as in tables of many rows, where indexes are worth their while.
    for sequential in ("on", "off"):
        with connection.transaction(force_rollback=True):
            connection.execute("SELECT set_config('enable_seqscan', %s, true)", (sequential,))
            before = read_so_far(connection)
            rows = connection.execute(question, values).fetchall()
            fetched = read_so_far(connection) - before
            explained = connection.execute(ANALYZED + question, values).fetchone()
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
    probed: Probed, name: str, place: str, condition: str
) -> None:
    assert tells(probed, name, place, condition, TOLD[place, condition])


def test_a_text_of_another_drive_is_read_letter_by_letter(probed: Probed) -> None:
    condition = 'tool_name COLLATE "C" > \'alpha-x\' AND tool_name COLLATE "C" >= %s'
    none = seen(probed, "reader", "workflow_steps", condition, "\x7f")
    read = ""
    for _ in range(len("omega-y")):
        read += max(
            letter
            for letter in map(chr, range(32, 127))
            if seen(probed, "reader", "workflow_steps", condition, read + letter) != none
        )
    assert read == "omega-y"


@pytest.mark.parametrize(("place", "condition"), KEPT)
def test_money_statuses_and_json_of_another_drive_are_not_told(probed: Probed, place: str, condition: str) -> None:
    assert not tells(probed, "reader", place, condition, KEPT[place, condition])


@pytest.mark.parametrize(("place", "condition"), [*TOLD, *KEPT])
def test_no_condition_of_a_members_tells_anything(probed: Probed, place: str, condition: str) -> None:
    assert not tells(probed, "member", place, condition, (TOLD | KEPT)[place, condition])


@pytest.mark.parametrize(("place", "one", "other"), PAIRS)
def test_a_member_is_not_even_told_of_an_id_that_it_knows(probed: Probed, place: str, one: str, other: str) -> None:
    for name, told in (("reader", True), ("application", True), ("member", False)):
        seen(probed, name, place, one)
        assert (seen(probed, name, place, one) != seen(probed, name, place, other)) == told, name


def test_a_members_plan_is_the_same_whatever_it_asks(probed: Probed) -> None:
    """No estimate comes from statistics of the table."""
    plans = {
        json.dumps(
            probed.as_["member"]
            .execute(
                sql.SQL("EXPLAIN (FORMAT JSON) SELECT * FROM workflow_steps WHERE tool_name = {}").format(
                    sql.Literal(mark)
                )
            )
            .fetchall()
        ).replace(mark, "…")
        for mark in ("alpha-x", "omega-y", "omega-z")
    }
    assert len(plans) == 1
