"""The filters of each answer: their names, and what each may be."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field
from typing_extensions import TypedDict

from ledger_pipeline.arguments import Name
from ledger_pipeline.events.catalogue import EVENT_TYPES
from ledger_pipeline.events.enums import ArtifactType, ExecutionStatus, WorkflowType

_STRICT = ConfigDict(extra="forbid")


def _known_type(value: str) -> str:
    if value not in EVENT_TYPES:
        raise ValueError(f"allowed: {', '.join(EVENT_TYPES)}")
    return value


Month = Annotated[str, Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])$", description="YYYY-MM")]


class ExecutionFilters(TypedDict, total=False):
    """Of executions; `started_from` is included, `started_to` is not."""

    __pydantic_config__ = _STRICT  # pyright: ignore[reportGeneralTypeIssues]  pydantic's own place for it
    user: UUID
    drive: UUID
    customer: UUID
    agent: UUID
    template: UUID
    status: ExecutionStatus
    mode: Name
    workflow_type: WorkflowType
    workflow_name: Name
    triggered_by: Name
    started_from: AwareDatetime
    started_to: AwareDatetime


class AuditFilters(TypedDict, total=False):
    """Of the audit; `occurred_from` is included, `occurred_to` is not."""

    __pydantic_config__ = _STRICT  # pyright: ignore[reportGeneralTypeIssues]
    execution: UUID
    event_type: Annotated[str, AfterValidator(_known_type)]
    occurred_from: AwareDatetime
    occurred_to: AwareDatetime


class ErrorFilters(TypedDict, total=False):
    """Of errors; `occurred_from` is included, `occurred_to` is not."""

    __pydantic_config__ = _STRICT  # pyright: ignore[reportGeneralTypeIssues]
    user: UUID
    occurred_from: AwareDatetime
    occurred_to: AwareDatetime


class RunningFilters(TypedDict, total=False):
    """Of executions that run now."""

    __pydantic_config__ = _STRICT  # pyright: ignore[reportGeneralTypeIssues]
    user: UUID
    drive: UUID
    agent: UUID


class ArtifactFilters(TypedDict, total=False):
    """Of one execution's artifacts."""

    __pydantic_config__ = _STRICT  # pyright: ignore[reportGeneralTypeIssues]
    artifact_type: ArtifactType


class CostFilters(TypedDict, total=False):
    """Of cost by mode; the month is in UTC."""

    __pydantic_config__ = _STRICT  # pyright: ignore[reportGeneralTypeIssues]
    user: UUID
    mode: Name
    month: Month


class BillingFilters(TypedDict, total=False):
    """Of billing; the period is the UTC month that is billed."""

    __pydantic_config__ = _STRICT  # pyright: ignore[reportGeneralTypeIssues]
    period: Month
    user: UUID
    customer: UUID
    model: Name


class MetricFilters(TypedDict, total=False):
    """Of metrics; `period_from` is included, `period_to` is not."""

    __pydantic_config__ = _STRICT  # pyright: ignore[reportGeneralTypeIssues]
    metric_type: Literal[
        "token_usage", "cost", "execution_time", "error_rate", "tool_success_rate", "workflow_success_rate"
    ]
    aggregation_period: Literal["hour", "day", "week", "month"]
    user: UUID
    dimension: Literal["all", "model", "mode", "tool"]
    model: Name
    mode: Name
    tool: Name
    period_from: AwareDatetime
    period_to: AwareDatetime
