"""Facts beside the course: context, log entries, artifacts, usage of models."""

from typing import Any
from uuid import UUID

from ledger_pipeline.arguments import id_or_none
from ledger_pipeline.errors import InvalidInput, InvalidReference
from ledger_pipeline.events.catalogue import ArtifactRecorded, ContextUpdated, LogRecorded, TokensUpdated
from ledger_pipeline.events.enums import ArtifactType, LogLevel
from ledger_pipeline.events.state import ExecutionState, StepState
from ledger_pipeline.hot.artifacts import StoredArtifact
from ledger_pipeline.workflows.recording import Recording, open_call
from ledger_pipeline.workflows.references import StepRef, find_step, require


def _step(state: ExecutionState, reference: StepRef | None) -> StepState | None:
    return None if reference is None else find_step(state, reference)


def update_context(recording: Recording, patch: dict[str, Any]) -> None:
    """Changes the accumulated context by an RFC 7396 merge patch."""
    require(recording.state, "ContextUpdated")
    recording.record(ContextUpdated, patch=patch)


def log(
    recording: Recording, message: str, level: LogLevel | str, step: StepRef | None, details: dict[str, Any] | None
) -> None:
    """Adds an entry to the execution's log; also after its end."""
    recording.record(LogRecorded, _step(recording.state, step), log_level=level, message=message, details=details)


def record_artifact(
    recording: Recording,
    *,
    artifact: StoredArtifact,
    name: str,
    artifact_type: ArtifactType | str,
    artifact_id: UUID | None,
    step: StepRef | None,
    metadata: dict[str, Any] | None,
) -> UUID:
    """Records something that the execution, or one of its steps, produced; also after its end."""
    chosen = id_or_none("artifact_id", artifact_id) or recording.new_id()
    if str(chosen) in recording.state.artifacts:
        raise InvalidReference(f"artifact_id: {chosen} was recorded before")
    recording.record(
        ArtifactRecorded,
        _step(recording.state, step),
        artifact_id=chosen,
        artifact_type=artifact_type,
        artifact_name=name,
        uri=artifact.uri,
        size_bytes=artifact.size_bytes,
        content_type=artifact.content_type,
        sha256=artifact.sha256,
        metadata=metadata,
    )
    return chosen


def record_usage(recording: Recording, model_call_id: str, model: str, call: StepRef | None, usage: Any) -> None:
    """Records a request to a model, by tokens in disjoint buckets; its cost follows from the price book."""
    step, call_id = None, None
    if call is not None:
        known = recording.state.calls.get(str(call).lower())
        step = recording.state.steps[known.step_id] if known else find_step(recording.state, call)
        known = known or open_call(recording.state, step)
        call_id = known.id if known else None
    unknown = sorted(set(usage) - set(TokensUpdated.model_fields))
    if unknown:
        raise InvalidInput(f"usage: {unknown[0]!r} is no field; allowed: input_tokens, output_tokens and the like")
    recording.record(TokensUpdated, step, model_call_id=model_call_id, model=model, call_id=call_id, **usage)
