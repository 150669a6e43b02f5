"""The closed vocabularies of the model; each is a type of the same name in the database."""

from enum import StrEnum


class ExecutionStatus(StrEnum):
    """Where a workflow execution stands."""

    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ABORTED = "aborted"
    TIMEOUT = "timeout"


class StepStatus(StrEnum):
    """Where one position of an execution stands."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    RETRYING = "retrying"


class CallStatus(StrEnum):
    """Where one attempt of an agent or tool stands."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    ABORTED = "aborted"


class WorkflowType(StrEnum):
    """What a workflow is for."""

    COST_ANALYSIS = "cost_analysis"
    PERFORMANCE_TUNING = "performance_tuning"
    RESOURCE_OPTIMIZATION = "resource_optimization"
    QUALITY_CHECK = "quality_check"
    SCALING_DECISION = "scaling_decision"
    CONFIGURATION_UPDATE = "configuration_update"
    HEALTH_CHECK = "health_check"
    ANOMALY_DETECTION = "anomaly_detection"


class ArtifactType(StrEnum):
    """What an artifact holds."""

    REPORT = "report"
    CONFIG = "config"
    LOG = "log"
    CHART = "chart"
    RECOMMENDATION = "recommendation"
    METRICS = "metrics"
    ALERT = "alert"
    DIAGNOSTIC = "diagnostic"


class StepType(StrEnum):
    """How a step runs."""

    ACTION = "action"
    CONDITION = "condition"
    WORKFLOW_LINK = "workflow_link"
    PARALLEL = "parallel"
    LOOP = "loop"


class TemplateStatus(StrEnum):
    """Where a workflow template stands in its life."""

    DRAFT = "draft"
    ACTIVE = "active"
    DEPRECATED = "deprecated"
    ARCHIVED = "archived"


class ChangeType(StrEnum):
    """What a template version changed."""

    CREATE = "create"
    UPDATE = "update"
    MAJOR = "major"
    MINOR = "minor"
    PATCH = "patch"


class PricingStatus(StrEnum):
    """Whether the price book knew the model at the call's time; unpriced is never zero."""

    PRICED = "priced"
    UNPRICED = "unpriced"


class ExecutionKind(StrEnum):
    """What a stream of events is: a workflow's execution, a re-pricing run or a budget's stream."""

    WORKFLOW = "workflow"
    REPRICING = "repricing"
    BUDGET = "budget"


class OperatorKind(StrEnum):
    """Who did one event."""

    USER = "user"
    AGENT = "agent"
    SYSTEM = "system"


class LogLevel(StrEnum):
    """How grave a log entry is."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Decision(StrEnum):
    """How an approval was decided."""

    APPROVED = "approved"
    REJECTED = "rejected"


class BudgetScope(StrEnum):
    """What a budget limits."""

    EXECUTION = "execution"
    WORKFLOW = "workflow"
    AGENT = "agent"
    CUSTOMER = "customer"


class BudgetUnit(StrEnum):
    """What a budget counts."""

    USD = "usd"
    TOKENS = "tokens"


DATABASE_ENUMS: dict[str, type[StrEnum]] = {
    "execution_status": ExecutionStatus,
    "step_status": StepStatus,
    "call_status": CallStatus,
    "workflow_type": WorkflowType,
    "artifact_type": ArtifactType,
    "step_type": StepType,
    "template_status": TemplateStatus,
    "change_type": ChangeType,
    "pricing_status": PricingStatus,
    "execution_kind": ExecutionKind,
}
"""Enum types of the database by name. Events hold the same values as text, so that they hash as stored."""
