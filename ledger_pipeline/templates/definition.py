"""`Definition`: a workflow as its author wrote it, checked for form; `validation` checks what it means."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from ledger_pipeline.events.enums import TemplateStatus
from ledger_pipeline.templates.steps import NAME_PATTERN, JsonObject, Step, Title


class Definition(BaseModel):
    """A workflow: what it takes and gives, its limits and its steps.

    `parameters` and `outputs` are a JSON Schema or the short form, kept as written; `parameter_schema` and
    `output_schema` are what they mean. `status` None leaves a template's status as it is; a new one becomes active.
    `version` is the version's tag, made by the save where it is left out. `drive_id` and `created_by` are what the
    author noted: who saves, and where, is said by the save.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Annotated[str, Field(pattern=NAME_PATTERN, max_length=200)]
    title: Title | None = None
    description: str | None = None
    version: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    status: Annotated[TemplateStatus | None, Field(strict=False)] = None
    category: Title | None = None
    tags: Annotated[tuple[Title, ...], Field(strict=False)] = ()
    parameters: JsonObject | bool = Field(default_factory=dict)
    outputs: JsonObject | bool = Field(default_factory=dict)
    timeout_minutes: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    max_retries: Annotated[int, Field(ge=0, le=1_000)] | None = None
    is_public: bool = False
    drive_id: str | None = None
    created_by: str | None = None
    steps: Annotated[tuple[Step, ...], Field(strict=False)] = ()

    @property
    def parameter_schema(self) -> Any:
        """The JSON Schema of an execution's input."""
        from ledger_pipeline.templates.schemas import as_schema

        return as_schema(self.parameters)

    @property
    def output_schema(self) -> Any:
        """The JSON Schema of an execution's output."""
        from ledger_pipeline.templates.schemas import as_schema

        return as_schema(self.outputs)
