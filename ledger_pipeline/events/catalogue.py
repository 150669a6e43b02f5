"""One class per event type: the single source from which tables, schemas, hashes and documents are derived."""

# A type may make an envelope column obligatory: events are frozen, so narrowing a field's type is sound.
# pyright: reportIncompatibleVariableOverride=false, reportGeneralTypeIssues=false

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, Self, get_args, get_origin
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from ledger_pipeline.errors import InvalidInput, InvalidTime
from ledger_pipeline.events.columns import (
    Column,
    ColumnKind,
    Count,
    Id,
    NullIfEmpty,
    Ordinal,
    SignedUsd,
    Text,
    Timestamp,
    Tokens,
    Usd,
    one_of,
)
from ledger_pipeline.events.enums import (
    ArtifactType,
    BudgetScope,
    BudgetUnit,
    Decision,
    ExecutionKind,
    LogLevel,
    OperatorKind,
    PricingStatus,
    StepType,
    WorkflowType,
)
from ledger_pipeline.events.payload import dump_payload, parse_payload

OptionalText = Annotated[Text | None, NullIfEmpty]
Json = Any
"""Any JSON value: numbers are int, float or Decimal; what can't be stored is refused when the payload is written."""
JsonObject = dict[str, Any]


class PlanStep(BaseModel):
    """One entry of a plan: a position of an execution, known before it runs.

    `path` places it (`2/0/1`: child 1 of child 0 of top-level step 2); `step_order` counts from 0 within its parent.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    step_id: UUID
    path: str = Field(pattern=r"^\d+(/\d+)*$")
    step_order: int = Field(ge=0)
    step_name: str = Field(min_length=1)
    step_type: StepType = StepType.ACTION
    parent_step_id: UUID | None = None
    template_step_id: UUID | None = None
    agent_id: UUID | None = None
    agent_name: str | None = None
    max_attempts: int = Field(default=1, ge=1)
    config: JsonObject = Field(default_factory=dict)
    metadata: JsonObject = Field(default_factory=dict)


class EventRow(dict[str, Any]):
    """An event as columns, judged: an event class has made it, or `row_faults.judged` has read it."""


class Event(BaseModel):
    """The envelope that every event carries, as far as a client gives it.

    The database fills what is left out from the execution and the step (`workflow_name` … `step_name`, `attempt`),
    assigns `sequence`, `week`, `epoch`, `tx`, `recorded_at`, and computes `leaf` and `hash`. `sequence`, when given,
    is an expectation: the append is refused when the event would get another. All times are UTC.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    event_type: ClassVar[str]
    version: ClassVar[int]
    """Version of the type whose events this class holds; the current one in `EVENT_TYPES`."""
    profile: ClassVar[int]
    """Number of the canonical text's layout: one per event type and version, never reused."""

    event_id: Id | None = None
    execution_id: Id | None = None
    sequence: Annotated[int, Column(ColumnKind.BIGINT, minimum=1)] | None = Field(default=None, ge=1)
    event_version: Annotated[Literal[1], Column(ColumnKind.INTEGER, minimum=1)] = 1
    occurred_at: Timestamp
    workflow_name: OptionalText = None
    workflow_type: Annotated[WorkflowType, one_of(WorkflowType)] | None = None
    template_id: Id | None = None
    template_version: Ordinal | None = None
    mode: OptionalText = None
    drive_id: Id | None = None
    customer_id: Id | None = None
    user_id: Id | None = None
    agent_id: Id | None = None
    agent_name: OptionalText = None
    operator_id: OptionalText = None
    operator_kind: Annotated[OperatorKind, one_of(OperatorKind)] | None = None
    step_id: Id | None = None
    step_name: OptionalText = None
    call_id: Id | None = None
    attempt: Annotated[int, Column(ColumnKind.INTEGER, minimum=1)] | None = Field(default=None, ge=1)
    source: OptionalText = None
    source_file: OptionalText = None
    source_line: Annotated[int, Column(ColumnKind.BIGINT, minimum=1)] | None = Field(default=None, ge=1)
    execution_kind: Annotated[ExecutionKind, one_of(ExecutionKind)] | None = None

    def __init_subclass__(cls, profile: int = 0, version: int = 1, of: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.event_type = of or cls.__name__
        cls.version = version
        cls.profile = profile

    def to_row(self) -> EventRow:
        """The event as columns: typed values, and `payload` as JSON text."""
        columns, members = _columns_and_members(type(self))
        row = EventRow({name: getattr(self, name) for name in columns})
        row["event_type"] = self.event_type
        given = members & self.model_fields_set
        row["payload"] = dump_payload(self.model_dump(include=set(given))) if given else "{}"
        return row

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """The typed event of a stored row; columns that the server assigned are left out."""
        fields = {name: row[name] for name in cls.model_fields if name in row and row[name] is not None}
        return cls.model_validate(fields | parse_payload(row["payload"]))


class WorkflowCreated(Event, profile=1):
    """An execution exists: its plan, what it was given and what it may spend."""

    triggered_by: OptionalText = None
    triggered_by_kind: Annotated[OperatorKind, one_of(OperatorKind)] | None = None
    parent_execution_id: Id | None = None
    parent_step_id: Id | None = None
    retry_of: Id | None = None
    budget_usd: Usd | None = None
    budget_tokens: Tokens | None = None
    plan: tuple[PlanStep, ...] = ()
    input: JsonObject = Field(default_factory=dict)
    parameters: JsonObject = Field(default_factory=dict)
    trigger_context: JsonObject = Field(default_factory=dict)
    metadata: JsonObject = Field(default_factory=dict)


class WorkflowStarted(Event, profile=2):
    """The execution runs."""


class WorkflowPaused(Event, profile=3):
    """The execution waits."""

    reason: OptionalText = None


class WorkflowResumed(Event, profile=4):
    """The execution goes on after a pause."""

    reason: OptionalText = None


class WorkflowCompleted(Event, profile=5):
    """The execution ended well; refused while a call is open."""

    output: Json = None


class WorkflowFailed(Event, profile=6):
    """The execution ended with an error."""

    error_code: OptionalText = None
    error_message: Text
    error_details: JsonObject = Field(default_factory=dict)


class WorkflowCancelled(Event, profile=7):
    """Somebody ended the execution."""

    reason: OptionalText = None


class WorkflowTimedOut(Event, profile=8):
    """The execution ran longer than it may."""

    reason: OptionalText = None
    limit_seconds: Count | None = None


class ExecutionAborted(Event, profile=9):
    """The execution was ended from outside, for instance over its budget."""

    reason: OptionalText = None


class StepDispatched(Event, profile=10):
    """A step runs: opens an agent call. `plan_entry` adds the step when the plan lacks it."""

    step_id: Id
    call_id: Id
    tool_name: OptionalText = None
    input: Json = None
    config: JsonObject = Field(default_factory=dict)
    tool_parameters: Json = None
    plan_entry: PlanStep | None = None


class StepCompleted(Event, profile=11):
    """A call ended well and so did its step; a top-level step's output joins the context."""

    step_id: Id
    call_id: Id
    output: Json = None
    tool_result: Json = None


class StepFailed(Event, profile=12):
    """A call ended with an error and so did its step."""

    step_id: Id
    call_id: Id
    error_code: OptionalText = None
    error_message: Text
    error_details: JsonObject = Field(default_factory=dict)


class StepRetried(Event, profile=13):
    """A failed step will run again; refused beyond its maximum of attempts."""

    step_id: Id
    next_attempt: Annotated[int, Column(ColumnKind.INTEGER, minimum=2)] = Field(ge=2)
    delay_ms: Count | None = None
    error_message: OptionalText = None


class StepSkipped(Event, profile=14):
    """A pending step will not run."""

    step_id: Id
    reason: OptionalText = None


class BranchTaken(Event, profile=15):
    """A condition was judged."""

    step_id: Id
    branch_condition: Text
    branch_result: Text
    branch_target: OptionalText = None


class IterationStarted(Event, profile=16):
    """A loop begins its next item; `steps` are the iteration's positions."""

    step_id: Id
    iteration_index: Count
    item: Json = None
    steps: tuple[PlanStep, ...] = ()


class ChildExecutionLinked(Event, profile=17):
    """A step runs as an execution of its own."""

    step_id: Id
    child_execution_id: Id


class InputRequested(Event, profile=18):
    """The execution waits for a person's input, described by a JSON Schema."""

    step_id: Id
    prompt: OptionalText = None
    input_schema: JsonObject = Field(default_factory=dict)


class InputReceived(Event, profile=19):
    """The input that was waited for; the execution goes on."""

    step_id: Id
    user_input: Json = None


class ApprovalRequested(Event, profile=20):
    """Somebody must decide before the work goes on."""

    approval_id: Id
    approval_subject: Text
    requested_from: OptionalText = None
    details: JsonObject = Field(default_factory=dict)


class ApprovalApplied(Event, profile=21):
    """The decision on an approval; who decided is the operator."""

    approval_id: Id
    decision: Annotated[Decision, one_of(Decision)]
    decision_comment: OptionalText = None


class TokensUpdated(Event, profile=22):
    """One priced request to a model: the only event that carries usage.

    Token buckets are disjoint: `input_tokens` are uncached ones. Costs are USD; `cost_usd` is the sum of the bucket
    costs, NULL when unpriced (then `estimated_cost_usd` holds the fallback). `recorded_cost_usd` is what the source
    said. Costs are filled from the price book before the append when `pricing_status` is left out.
    The payload's `prices` name, per bucket, the price version and its USD per million.
    """

    model_call_id: Text
    provider: OptionalText = None
    model: Text
    priced_model: OptionalText = None
    service_tier: OptionalText = None
    context_tier: OptionalText = None
    region: OptionalText = None
    input_tokens: Tokens = 0
    cache_read_tokens: Tokens = 0
    cache_write_5m_tokens: Tokens = 0
    cache_write_1h_tokens: Tokens = 0
    output_tokens: Tokens = 0
    reasoning_tokens: Tokens = 0
    input_audio_tokens: Tokens = 0
    cache_audio_read_tokens: Tokens = 0
    output_audio_tokens: Tokens = 0
    input_image_tokens: Tokens = 0
    output_image_tokens: Tokens = 0
    requests: Tokens = 1
    input_cost_usd: Usd | None = None
    cache_read_cost_usd: Usd | None = None
    cache_write_5m_cost_usd: Usd | None = None
    cache_write_1h_cost_usd: Usd | None = None
    output_cost_usd: Usd | None = None
    reasoning_cost_usd: Usd | None = None
    input_audio_cost_usd: Usd | None = None
    cache_audio_read_cost_usd: Usd | None = None
    output_audio_cost_usd: Usd | None = None
    input_image_cost_usd: Usd | None = None
    output_image_cost_usd: Usd | None = None
    requests_cost_usd: Usd | None = None
    cost_usd: Usd | None = None
    estimated_cost_usd: Usd | None = None
    recorded_cost_usd: Usd | None = None
    pricing_status: Annotated[PricingStatus, one_of(PricingStatus, stored_always=True)] | None = None
    unpriced_reason: OptionalText = None
    latency_ms: Count | None = None
    prices: tuple[JsonObject, ...] = ()
    metadata: JsonObject = Field(default_factory=dict)


class CostRecalculated(Event, profile=23):
    """A re-pricing run's finding for one model call: the difference corrects what the target event says."""

    target_event_id: Id
    target_execution_id: Id
    target_occurred_at: Timestamp
    model_call_id: Text
    provider: OptionalText = None
    model: Text
    old_cost_usd: Usd | None = None
    new_cost_usd: Usd | None = None
    difference_usd: SignedUsd
    reason: Text
    old_prices: tuple[JsonObject, ...] = ()
    new_prices: tuple[JsonObject, ...] = ()


class BudgetExceeded(Event, profile=24):
    """A total crossed its budget: right after the usage that crossed it, or in the stream of a period's budget.

    There `crossing_execution_id` and `crossing_event_id` name the event with which the period's total crossed it.
    """

    budget_id: Id | None = None
    budget_scope: Annotated[BudgetScope, one_of(BudgetScope)] = BudgetScope.EXECUTION
    budget_unit: Annotated[BudgetUnit, one_of(BudgetUnit)]
    budget_period: OptionalText = None
    threshold_percent: Ordinal = 100
    limit_usd: Usd | None = None
    total_usd: Usd | None = None
    limit_tokens: Tokens | None = None
    total_tokens: Tokens | None = None
    model_call_id: OptionalText = None
    crossing_execution_id: UUID | None = None
    crossing_event_id: UUID | None = None


class ContextUpdated(Event, profile=25):
    """An RFC 7396 merge patch of the accumulated context."""

    patch: JsonObject


class ArtifactRecorded(Event, profile=26):
    """Something that the execution produced."""

    artifact_id: Id
    artifact_type: Annotated[ArtifactType, one_of(ArtifactType)]
    artifact_name: Text
    uri: Text
    size_bytes: Count | None = None
    content_type: OptionalText = None
    sha256: Annotated[Text, Field(pattern="^[0-9a-f]{64}$")] | None = None
    metadata: JsonObject = Field(default_factory=dict)


class LogRecorded(Event, profile=27):
    """An entry of the execution's log."""

    log_level: Annotated[LogLevel, one_of(LogLevel)]
    message: Text
    details: JsonObject = Field(default_factory=dict)


EVENT_TYPES: dict[str, type[Event]] = {
    cls.event_type: cls
    for cls in (
        WorkflowCreated,
        WorkflowStarted,
        WorkflowPaused,
        WorkflowResumed,
        WorkflowCompleted,
        WorkflowFailed,
        WorkflowCancelled,
        WorkflowTimedOut,
        ExecutionAborted,
        StepDispatched,
        StepCompleted,
        StepFailed,
        StepRetried,
        StepSkipped,
        BranchTaken,
        IterationStarted,
        ChildExecutionLinked,
        InputRequested,
        InputReceived,
        ApprovalRequested,
        ApprovalApplied,
        TokensUpdated,
        CostRecalculated,
        BudgetExceeded,
        ContextUpdated,
        ArtifactRecorded,
        LogRecorded,
    )
}
"""Every event type by name, in the order of the profile numbers."""

SERVER_COLUMNS: dict[str, Column] = {
    "week": Column(ColumnKind.DATE),
    "epoch": Column(ColumnKind.INTEGER, minimum=1),
    "tx": Column(ColumnKind.BIGINT, minimum=0),
    "recorded_at": Column(ColumnKind.TIMESTAMP),
    "leaf": Column(ColumnKind.BYTES),
    "hash": Column(ColumnKind.BYTES),
}
"""Columns that only the database assigns."""


@dataclass(frozen=True)
class TypedColumn:
    """One column of the event table as the catalogue declares it."""

    name: str
    column: Column
    required: bool


OLD_VERSIONS: dict[str, dict[int, type[Event]]] = {}
"""The classes of versions before the current one, by event type: events of them are stored, hashed by these layouts,
and read through `upcasters`. None is ever removed."""


def versions_of(event_type: str) -> dict[int, type[Event]]:
    """Every version of an event type with its class, the current one last."""
    current = EVENT_TYPES[event_type]
    return {**OLD_VERSIONS.get(event_type, {}), current.version: current}


def by_version(event_type: str, version: str, expression: Callable[[type[Event]], str]) -> str:
    """SQL that depends on an event's class: one expression, or a CASE of `version` where there are several."""
    classes = versions_of(event_type)
    if len(classes) == 1:
        return expression(*classes.values())
    cases = " ".join(f"WHEN {number} THEN {expression(each)}" for number, each in classes.items())
    return f"CASE {version} {cases} END"


def _column_in(annotation: Any, metadata: list[Any]) -> Column | None:
    found = next((item for item in metadata if isinstance(item, Column)), None)
    if found:
        return found
    if get_origin(annotation) is Annotated:
        inner, *rest = get_args(annotation)
        return _column_in(inner, rest)
    for argument in get_args(annotation):
        found = _column_in(argument, [])
        if found:
            return found
    return None


def _typed(name: str, field: FieldInfo) -> TypedColumn | None:
    column = _column_in(field.annotation, field.metadata)
    if column is None:
        return None
    nullable = type(None) in get_args(field.annotation)
    return TypedColumn(name, column, required=column.stored_always or not nullable)


@cache
def typed_columns(event_class: type[Event]) -> tuple[TypedColumn, ...]:
    """The type's own columns in catalogue order; envelope columns that it makes obligatory are not repeated."""
    own = (_typed(name, field) for name, field in event_class.model_fields.items() if name not in Event.model_fields)
    return tuple(column for column in own if column)


@cache
def required_envelope(event_class: type[Event]) -> frozenset[str]:
    """Envelope columns that this type must carry and others need not, such as `step_id`."""
    return frozenset(
        name
        for name in Event.model_fields
        if name in ENVELOPE
        and (typed := _typed(name, event_class.model_fields[name])) is not None
        and typed.required
        and not ENVELOPE[name].required
    )


@cache
def payload_members(event_class: type[Event]) -> frozenset[str]:
    """Fields of the class that are stored in the payload's JSON text."""
    return frozenset(name for name, field in event_class.model_fields.items() if _typed(name, field) is None)


@cache
def _columns_and_members(event_class: type[Event]) -> tuple[tuple[str, ...], frozenset[str]]:
    return tuple(n for n in CLIENT_COLUMNS if n in event_class.model_fields), payload_members(event_class)


def _envelope() -> dict[str, TypedColumn]:
    given = {name: column for name, field in Event.model_fields.items() if (column := _typed(name, field))}
    always = {"event_id", "execution_id", "sequence", "execution_kind"}
    order = (
        *("event_id", "execution_id", "sequence", "event_type", "event_version", "week", "epoch", "tx"),
        *("occurred_at", "recorded_at", "workflow_name", "workflow_type", "template_id", "template_version", "mode"),
        *("drive_id", "customer_id", "user_id", "agent_id", "agent_name", "operator_id", "operator_kind"),
        *("step_id", "step_name", "call_id", "attempt", "source", "source_file", "source_line", "execution_kind"),
    )
    special = {
        "event_type": TypedColumn("event_type", Column(ColumnKind.TEXT, values=tuple(EVENT_TYPES)), required=True)
    } | {name: TypedColumn(name, column, required=True) for name, column in SERVER_COLUMNS.items()}
    columns = {name: special.get(name) or given[name] for name in order}
    return {name: TypedColumn(name, c.column, c.required or name in always) for name, c in columns.items()}


ENVELOPE: dict[str, TypedColumn] = _envelope()
"""The envelope's columns in the order of the model, which is the order of the canonical text."""


def _type_columns() -> dict[str, TypedColumn]:
    columns: dict[str, TypedColumn] = {}
    for event_class in (each for event_type in EVENT_TYPES for each in versions_of(event_type).values()):
        for typed in typed_columns(event_class):
            known = columns.setdefault(typed.name, typed)
            if known.column.kind != typed.column.kind:
                raise TypeError(f"{event_class.event_type}.{typed.name} differs in type from another event's column")
    return columns


TYPE_COLUMNS: dict[str, TypedColumn] = _type_columns()
"""The union of the types' own columns: each is NULL on every type that does not declare it."""

EVENT_COLUMNS: dict[str, ColumnKind] = {
    **{name: typed.column.kind for name, typed in ENVELOPE.items()},
    **{name: typed.column.kind for name, typed in TYPE_COLUMNS.items()},
    "payload": ColumnKind.JSON,
    "leaf": ColumnKind.BYTES,
    "hash": ColumnKind.BYTES,
}
"""Every column of `workflow_events` in order, hot and cold alike."""

CLIENT_COLUMNS: tuple[str, ...] = tuple(name for name in EVENT_COLUMNS if name not in SERVER_COLUMNS)
"""The columns that an append takes, in order."""

MONEY_COLUMNS: tuple[str, ...] = tuple(name for name, kind in EVENT_COLUMNS.items() if kind is ColumnKind.USD)
USAGE_KINDS: tuple[str, ...] = tuple(
    name.removesuffix("_cost_usd")
    for name in TokensUpdated.model_fields
    if name.endswith("_cost_usd") and f"{name.removesuffix('_cost_usd')}_tokens" in TokensUpdated.model_fields
)
"""The disjoint token buckets, each with `<kind>_tokens` and `<kind>_cost_usd`; `requests` is counted beside them."""


def table_name(event_type: str) -> str:
    """The typed table of an event type: `StepCompleted` -> `step_completed_events`."""
    words = "".join(f"_{c.lower()}" if c.isupper() else c for c in event_type).lstrip("_")
    return f"{words}_events"


def event_class_of(event_type: str, version: int | None = None) -> type[Event]:
    """The class of an event type, by default of its current version; raises InvalidInput that lists what there is."""
    if event_type not in EVENT_TYPES:
        raise InvalidInput(f"event_type: {event_type!r} is not known; allowed: {', '.join(EVENT_TYPES)}")
    if version is None:
        return EVENT_TYPES[event_type]
    versions = versions_of(event_type)
    if version not in versions:
        allowed = ", ".join(map(str, versions))
        raise InvalidInput(f"event_version: {event_type} has no version {version!r}; allowed: {allowed}")
    return versions[version]


@cache
def columns_of(event_type: str) -> tuple[str, ...]:
    """The own columns of an event type, of all of its versions."""
    each = (typed.name for event_class in versions_of(event_type).values() for typed in typed_columns(event_class))
    return tuple(dict.fromkeys(each))


def make_event(event_type: str, fields: Mapping[str, Any]) -> Event:
    """An event from loose fields; raises InvalidInput that names the field, what was wrong and what is allowed.

    Of a time that is InvalidTime.
    """
    event_class = event_class_of(event_type)
    try:
        return event_class.model_validate(dict(fields))
    except ValidationError as error:
        where = error.errors(include_url=False)[0]["loc"]
        of_a_time = bool(where) and EVENT_COLUMNS.get(str(where[0])) is ColumnKind.TIMESTAMP
        raise (InvalidTime if of_a_time else InvalidInput)(f"{event_type}: {describe(error)}") from None


def describe(error: ValidationError) -> str:
    """One line that names each faulty field, what was wrong and the value given."""
    parts: list[str] = []
    for fault in error.errors(include_url=False)[:5]:
        where = ".".join(str(part) for part in fault["loc"]) or "value"
        given = repr(fault["input"])
        parts.append(f"{where}: {fault['msg']} (got {given if len(given) <= 80 else given[:77] + '…'})")
    return "; ".join(parts)
