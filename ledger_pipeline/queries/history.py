"""One execution with all that it consists of: template, steps, agent calls, approvals, artifacts, log."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, LiteralString, TypeVar
from uuid import UUID

from psycopg import sql
from psycopg.types.json import set_json_loads

from ledger_pipeline.cold.reader import open_read
from ledger_pipeline.errors import NotFound
from ledger_pipeline.events.enums import ArtifactType, CallStatus, StepStatus, StepType
from ledger_pipeline.events.fold import parse_json
from ledger_pipeline.events.state_rows import state_as_rows
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.pages import Key, Page, Request, instant
from ledger_pipeline.queries.execution_log import LogEntry, replayed_log
from ledger_pipeline.queries.execution_template import ExecutionTemplate, execution_template
from ledger_pipeline.queries.executions import ExecutionSummary
from ledger_pipeline.replay.projection_tables import NULLED_BY_DELETION
from ledger_pipeline.replay.replay import replay
from ledger_pipeline.settings import ColdStore

Json = Any
"""Any JSON value, with numbers as int or Decimal."""

T = TypeVar("T")
Row = Mapping[str, Any]


@dataclass(frozen=True)
class StepDefinition:
    """A template's step as it stands now."""

    id: UUID
    template_id: UUID
    version: int
    path: str
    name: str
    type: StepType
    title: str | None
    agent_id: str | None
    prompt_template: str | None
    tool_name: str | None
    config: Json
    requires_user_input: bool
    input_schema: Json
    metadata: Json


@dataclass(frozen=True)
class StepDetail:
    """One position of the execution, with its configuration as it was then, and the definition behind it if known."""

    id: UUID
    parent_step_id: UUID | None
    path: str
    step_order: int
    step_name: str
    step_type: StepType
    agent_id: UUID | None
    agent_name: str | None
    template_step_id: UUID | None
    step_config: Json
    status: StepStatus
    input_data: Json
    output_data: Json
    user_input: Json
    tool_name: str | None
    tool_parameters: Json
    tool_result: Json
    attempt: int
    max_attempts: int
    error_message: str | None
    error_details: Json
    child_execution_id: UUID | None
    started_at: datetime | None
    completed_at: datetime | None
    metadata: Json
    definition: StepDefinition | None


@dataclass(frozen=True)
class CallDetail:
    """One attempt of an agent or tool at a step."""

    id: UUID
    step_id: UUID
    agent_id: UUID | None
    agent_name: str | None
    tool_name: str | None
    attempt: int
    status: CallStatus
    model: str | None
    input_tokens: int
    output_tokens: int
    spent_tokens: int
    total_cost: Decimal
    estimated_cost: Decimal
    triggered_by: str | None
    approved_by: str | None
    error_message: str | None
    started_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True)
class Approval:
    """A decision that was asked for, and how it came out."""

    id: UUID
    step_id: UUID | None
    call_id: UUID | None
    subject: str
    requested_from: str | None
    details: Json
    status: str
    requested_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    comment: str | None


@dataclass(frozen=True)
class Artifact:
    """Something that the execution produced."""

    id: UUID
    step_id: UUID | None
    artifact_type: ArtifactType
    name: str
    uri: str
    size_bytes: int | None
    content_type: str | None
    sha256: str | None
    metadata: Json
    recorded_at: datetime


@dataclass(frozen=True)
class ExecutionHistory:
    """One execution: its state, its template if known, and its parts in their order; artifacts by type."""

    execution: ExecutionSummary
    input_parameters: Json
    trigger_context: Json
    accumulated_context: Json
    output_data: Json
    error_details: Json
    metadata: Json
    template: ExecutionTemplate | None
    steps: tuple[StepDetail, ...]
    calls: tuple[CallDetail, ...]
    approvals: tuple[Approval, ...]
    artifacts: tuple[Artifact, ...]
    log: tuple[LogEntry, ...]


ARTIFACT_KEY = (ArtifactType, instant, UUID)
_FREE = ("input_parameters", "trigger_context", "accumulated_context", "output_data", "error_details", "metadata")
_TYPES: dict[str, type[Any]] = {"step_type": StepType, "type": StepType, "artifact_type": ArtifactType}
_STATUSES: dict[type[Any], type[Any]] = {StepDetail: StepStatus, CallDetail: CallStatus}
_PLACE = {artifact_type: place for place, artifact_type in enumerate(ArtifactType)}
_HEAD = "SELECT execution_kind, pruned_at FROM execution_heads WHERE id = %s"
_EXECUTION = "SELECT * FROM workflow_executions WHERE id = %(id)s"
_PARTS: dict[str, LiteralString] = {
    "workflow_steps": "SELECT * FROM workflow_steps WHERE execution_id = %(id)s",
    "executions": "SELECT * FROM executions WHERE execution_id = %(id)s",
    "workflow_approvals": "SELECT * FROM workflow_approvals WHERE execution_id = %(id)s",
    "workflow_artifacts": "SELECT * FROM workflow_artifacts WHERE execution_id = %(id)s",
    "execution_log": "SELECT * FROM execution_log WHERE execution_id = %(id)s ORDER BY sequence",
}
_FORGOTTEN = "SELECT id FROM unnest(%s::uuid[]) AS id WHERE is_forgotten(id)"
_ARTIFACTS = sql.SQL(
    """
    SELECT * FROM workflow_artifacts
    WHERE execution_id = %(id)s{conditions}
    ORDER BY artifact_type, recorded_at, id
    LIMIT %(rows)s
    """
)
_OF_TYPE = sql.SQL(" AND artifact_type = %(artifact_type)s")
_AFTER = sql.SQL(
    " AND (artifact_type, recorded_at, id) > (%(after_type)s::artifact_type, %(after_time)s::timestamptz, %(after_id)s)"
)


def execution_history(connection: Connection, cold_dir: ColdStore, execution_id: UUID) -> ExecutionHistory:
    """The execution with its parts; raises NotFound when there is none of kind workflow.

    One that was pruned is replayed from its events, which gives what its rows held.
    """
    exact_json(connection)
    with open_read(connection):
        pruned = _is_pruned(connection, execution_id)
        if not pruned:
            execution = connection.execute(_EXECUTION, {"id": execution_id}).fetchone()
            if execution is None:
                raise _unknown(execution_id)
            parts = {
                table: connection.execute(query, {"id": execution_id}).fetchall() for table, query in _PARTS.items()
            }
            return _history(connection, execution, parts)
    rows = _replayed(connection, cold_dir, execution_id)
    rows["execution_log"] = replayed_log(connection, cold_dir, execution_id, rows["workflow_steps"])
    return _history(connection, rows["workflow_executions"][0], rows)


def artifacts(connection: Connection, cold_dir: ColdStore, execution_id: UUID, request: Request) -> Page[Artifact]:
    """One page of an execution's artifacts, by type and time; raises NotFound for an unknown execution."""
    exact_json(connection)
    with open_read(connection):
        pruned = _is_pruned(connection, execution_id)
        if not pruned:
            statement, parameters = artifacts_statement(execution_id, request)
            rows = connection.execute(statement, parameters).fetchall()
            return request.page([_record(Artifact, row) for row in rows], _artifact_key)
    wanted = request.filters.get("artifact_type")
    every = _artifacts(_replayed(connection, cold_dir, execution_id)["workflow_artifacts"])
    behind = None if request.after is None else _artifact_order(*request.after)
    found = [
        one
        for one in every
        if wanted in (None, one.artifact_type) and (behind is None or _artifact_order(*_artifact_key(one)) > behind)
    ]
    return request.page(found, _artifact_key)


def artifacts_statement(execution_id: UUID, request: Request) -> tuple[sql.Composed, dict[str, Any]]:
    """The statement of a page of artifacts in the hot store, with its parameters."""
    conditions = [_OF_TYPE] if request.filters else []
    parameters: dict[str, Any] = {"id": execution_id, "rows": request.page_size + 1}
    parameters |= {name: str(value) for name, value in request.filters.items()}
    if request.after:
        conditions.append(_AFTER)
        parameters |= dict(zip(("after_type", "after_time", "after_id"), request.after, strict=True))
        parameters["after_type"] = str(parameters["after_type"])
    return _ARTIFACTS.format(conditions=sql.Composed(conditions)), parameters


def exact_json(connection: Connection) -> None:
    """Lets the connection read JSON with exact numbers, as a replay has them."""
    set_json_loads(_loads, connection)


def _loads(text: str | bytes) -> Json:
    return parse_json(text if isinstance(text, str) else text.decode())


def _is_pruned(connection: Connection, execution_id: UUID) -> bool:
    head = connection.execute(_HEAD, (execution_id,)).fetchone()
    if head is None or head["execution_kind"] != "workflow":
        raise _unknown(execution_id, "" if head is None else f": it is of kind {head['execution_kind']}")
    return head["pruned_at"] is not None


def _unknown(execution_id: UUID, why: str = "") -> NotFound:
    return NotFound(f"workflow execution {execution_id} does not exist{why}")


def _replayed(connection: Connection, cold_dir: ColdStore, execution_id: UUID) -> dict[str, list[dict[str, Any]]]:
    rows = state_as_rows(replay(connection, cold_dir, execution_id))
    named = {row[column] for table, columns in NULLED_BY_DELETION.items() for row in rows[table] for column in columns}
    found = connection.execute(_FORGOTTEN, (list(named - {None}),)).fetchall()
    forgotten = {row["id"] for row in found}
    for table, columns in NULLED_BY_DELETION.items():
        for row in rows[table]:
            row.update({column: None for column in columns if row[column] in forgotten})
    return rows


def _definitions(connection: Connection, steps: Iterable[Row]) -> dict[UUID, StepDefinition]:
    ids = [step["template_step_id"] for step in steps if step["template_step_id"]]
    rows = connection.execute("SELECT * FROM workflow_template_steps WHERE id = ANY (%s::uuid[])", (ids,)).fetchall()
    return {row["id"]: _record(StepDefinition, row) for row in rows}


def _history(connection: Connection, execution: Row, parts: Mapping[str, Iterable[Row]]) -> ExecutionHistory:
    definitions = _definitions(connection, parts["workflow_steps"])
    summary = ExecutionSummary.from_row({**execution, "execution_id": execution["id"]})
    steps = [
        _record(StepDetail, {**row, "definition": definitions.get(row["template_step_id"])})
        for row in parts["workflow_steps"]
    ]
    calls = [_record(CallDetail, row) for row in parts["executions"]]
    approvals = [_record(Approval, row) for row in parts["workflow_approvals"]]
    return ExecutionHistory(
        execution=summary,
        **{name: _as_stored(execution[name]) for name in _FREE},
        template=execution_template(connection, summary.template_id, summary.template_version),
        steps=tuple(sorted(steps, key=lambda step: [int(place) for place in step.path.split("/")])),
        calls=tuple(sorted(calls, key=lambda call: (call.started_at, call.id))),
        approvals=tuple(sorted(approvals, key=lambda approval: (approval.requested_at, approval.id))),
        artifacts=tuple(_artifacts(parts["workflow_artifacts"])),
        log=tuple(_record(LogEntry, row) for row in parts["execution_log"]),
    )


def _artifacts(rows: Iterable[Row]) -> list[Artifact]:
    return sorted((_record(Artifact, row) for row in rows), key=lambda one: _artifact_order(*_artifact_key(one)))


def _artifact_key(artifact: Artifact) -> Key:
    return artifact.artifact_type, artifact.recorded_at, artifact.id


def _artifact_order(artifact_type: ArtifactType, recorded_at: datetime, artifact_id: UUID) -> Key:
    return _PLACE[artifact_type], recorded_at, artifact_id


def _record(kind: type[T], row: Row) -> T:
    values: dict[str, Any] = {}
    for field in fields(kind):  # pyright: ignore[reportArgumentType]  every kind is a dataclass
        value = row[field.name]
        if isinstance(value, datetime):
            value = value.astimezone(UTC)
        elif field.name in _TYPES:
            value = _TYPES[field.name](value)
        elif field.name == "status" and kind in _STATUSES:
            value = _STATUSES[kind](value)
        elif field.type is Any:
            value = _as_stored(value)
        values[field.name] = value
    return kind(**values)


def _as_stored(value: Json) -> Json:
    """JSON with its numbers written as `jsonb` writes them: in plain digits, whole ones without a fraction."""
    if isinstance(value, Decimal):
        digits = format(value, "f")
        return Decimal(digits) if "." in digits else int(digits)
    if isinstance(value, dict):
        return {name: _as_stored(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_stored(item) for item in value]
    return value
