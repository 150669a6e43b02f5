"""`Workflows`: the commands by which an application runs workflows through the ledger, and what comes next in each.

Every command judges its input by the execution's state, records what happened as events and appends them; refused input
leaves nothing. The work itself, calling agents and tools, is the caller's. `at` is when it happened, by default now.
A step is named by id, path or name; a call by its id or, while one call of it is open, by its step.
"""

from datetime import datetime
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

from ledger_pipeline.arguments import id_of, text_of, text_or_none, time_of
from ledger_pipeline.errors import InvalidInput, InvalidTransition, LedgerError, NotFound
from ledger_pipeline.events.enums import ArtifactType, Decision, LogLevel
from ledger_pipeline.hot.artifacts import (
    StoredArtifact,
    artifact_to_record,
    check_source,
    content_type_of,
    open_artifact,
)
from ledger_pipeline.workflows import closing, ending, facts, waiting
from ledger_pipeline.workflows.answers import Recorded
from ledger_pipeline.workflows.limits import Overdue, overdue
from ledger_pipeline.workflows.recording import Recording
from ledger_pipeline.workflows.references import StepRef
from ledger_pipeline.workflows.step_commands import StepCommands

EXPIRED_AT_ONCE = 100
"""Limits that one call of `expire` records at most."""


class Workflows(StepCommands):
    """All commands on a ledger's executions, given by one operator."""

    # Waiting ------------------------------------------------------------------------------------------------------

    def pause(self, execution_id: UUID, reason: str | None = None, *, at: datetime | None = None) -> Recorded:
        """Nothing new is dispatched until the execution is resumed."""
        return self._run(execution_id, at, partial(waiting.pause, reason=reason))

    def resume(self, execution_id: UUID, reason: str | None = None, *, at: datetime | None = None) -> Recorded:
        """The execution goes on after a pause."""
        return self._run(execution_id, at, partial(waiting.resume, reason=reason))

    def request_input(
        self,
        execution_id: UUID,
        step: StepRef | None = None,
        *,
        prompt: str | None = None,
        schema: dict[str, Any] | bool | None = None,
        at: datetime | None = None,
    ) -> UUID:
        """Pauses the execution for a person's input to a step, by default the first that is ready; answers its id.

        Prompt and schema are the step's own where they are left out.
        """
        command = partial(waiting.request_input, reference=step, prompt=prompt, schema=schema)
        return self._recorder.run(execution_id, at, command)[0]

    def receive_input(self, execution_id: UUID, user_input: Any, *, at: datetime | None = None) -> Recorded:
        """Takes the input that was asked for, checked against the schema it was asked with; the execution goes on."""

        def command(recording: Recording) -> None:
            # Read after the state, and anew with it: the answer belongs to what is asked when it is stored.
            asked = self._recorder.last_event(execution_id, "InputRequested")
            if asked is None:
                raise InvalidInput("user_input: this execution has not asked for any")
            step = UUID(str(asked["step_id"]))
            waiting.receive_input(recording, user_input, step, waiting.requested_schema(asked))

        return self._run(execution_id, at, command)

    def request_approval(
        self,
        execution_id: UUID,
        subject: str,
        *,
        approval_id: UUID | None = None,
        requested_from: str | None = None,
        call: StepRef | None = None,
        details: dict[str, Any] | None = None,
        at: datetime | None = None,
    ) -> UUID:
        """Asks somebody to decide, about the execution or about an open call; answers the approval's id."""
        command = partial(
            waiting.request_approval,
            subject=subject,
            approval_id=approval_id,
            requested_from=requested_from,
            call=call,
            details=details,
        )
        return self._recorder.run(execution_id, at, command)[0]

    def apply_approval(
        self,
        execution_id: UUID,
        approval_id: UUID,
        decision: Decision | str,
        comment: str | None = None,
        *,
        at: datetime | None = None,
    ) -> Recorded:
        """Records the decision on an approval; who decided is the operator."""
        command = partial(waiting.apply_approval, approval_id=approval_id, decision=decision, comment=comment)
        return self._run(execution_id, at, command)

    # Facts beside the course --------------------------------------------------------------------------------------

    def update_context(self, execution_id: UUID, patch: dict[str, Any], *, at: datetime | None = None) -> Recorded:
        """Changes the accumulated context by an RFC 7396 merge patch."""
        return self._run(execution_id, at, partial(facts.update_context, patch=patch))

    def log(
        self,
        execution_id: UUID,
        message: str,
        *,
        level: LogLevel | str = LogLevel.INFO,
        step: StepRef | None = None,
        details: dict[str, Any] | None = None,
        at: datetime | None = None,
    ) -> Recorded:
        """Adds an entry to the execution's log."""
        return self._run(execution_id, at, partial(facts.log, message=message, level=level, step=step, details=details))

    def record_usage(
        self,
        execution_id: UUID,
        model_call_id: str,
        model: str,
        *,
        call: StepRef | None = None,
        at: datetime | None = None,
        **usage: Any,
    ) -> Recorded:
        """Records one request to a model: `provider`, `input_tokens`, `output_tokens` and the other fields of
        TokensUpdated; the price book says what it cost."""
        command = partial(facts.record_usage, model_call_id=model_call_id, model=model, call=call, usage=usage)
        return self._run(execution_id, at, command)

    def record_artifact(
        self,
        execution_id: UUID,
        name: str,
        artifact_type: ArtifactType | str,
        *,
        source: Path | bytes | BinaryIO | None = None,
        uri: str | None = None,
        size_bytes: int | None = None,
        sha256: str | None = None,
        content_type: str | None = None,
        artifact_id: UUID | None = None,
        step: StepRef | None = None,
        metadata: dict[str, Any] | None = None,
        at: datetime | None = None,
    ) -> UUID:
        """Records an artifact, a copy of `source` under the home or a `uri` as it is given; answers its id."""
        if (source is None) == (uri is None):
            raise InvalidInput("source: give the bytes to copy, or the uri of what lies elsewhere, one of the two")
        text_of("name", name)
        text_or_none("uri", uri)
        given = StoredArtifact(uri or "file:", size_bytes, sha256, content_type or content_type_of(name))
        command = partial(
            facts.record_artifact,
            name=name,
            artifact_type=artifact_type,
            artifact_id=artifact_id,
            step=step,
            metadata=metadata,
        )
        if source is not None:
            check_source(source)
            # Judged before anything is copied: what is refused leaves nothing.
            command(self._recorder.recording(self.state(execution_id), at), artifact=given)
            with artifact_to_record(self._artifacts, source, name, content_type) as copy:
                return self._recorder.run(execution_id, at, partial(command, artifact=copy))[0]
        return self._recorder.run(execution_id, at, partial(command, artifact=given))[0]

    def open_artifact(self, execution_id: UUID, artifact_id: UUID) -> BufferedReader:
        """An artifact's bytes, verified; raises ArtifactDamaged for a missing or altered file."""
        artifact = self.state(execution_id).artifacts.get(str(id_of("artifact_id", artifact_id)))
        if artifact is None:
            raise NotFound(f"artifact_id: {artifact_id} is no artifact of execution {execution_id}")
        return open_artifact(self._artifacts, artifact.uri, artifact.sha256)

    # Ends ---------------------------------------------------------------------------------------------------------

    def complete(
        self, execution_id: UUID, output: Any = None, *, skip_remaining: bool = False, at: datetime | None = None
    ) -> Recorded:
        """Ends an execution well; its output is checked against the definition's outputs."""
        return self._run(execution_id, at, partial(ending.complete, output=output, skip_remaining=skip_remaining))

    def fail(
        self,
        execution_id: UUID,
        message: str,
        *,
        code: str | None = None,
        details: dict[str, Any] | None = None,
        at: datetime | None = None,
    ) -> Recorded:
        """Ends an execution with an error."""
        return self._run(execution_id, at, partial(ending.fail, message=message, code=code, details=details))

    def cancel(self, execution_id: UUID, reason: str | None = None, *, at: datetime | None = None) -> Recorded:
        """Ends an execution because somebody wants it."""
        return self._run(execution_id, at, partial(ending.cancel, reason=reason))

    def abort(self, execution_id: UUID, reason: str | None = None, *, at: datetime | None = None) -> Recorded:
        """Ends an execution from outside, for instance over its budget."""
        return self._run(execution_id, at, partial(ending.abort, reason=reason))

    def time_out(
        self,
        execution_id: UUID,
        limit_seconds: int | None = None,
        reason: str | None = None,
        *,
        at: datetime | None = None,
    ) -> Recorded:
        """Ends an execution that has run longer than it may."""
        return self._run(execution_id, at, partial(ending.time_out, limit_seconds=limit_seconds, reason=reason))

    def expire(
        self, now: datetime, most: int = EXPIRED_AT_ONCE
    ) -> tuple[list[Overdue], list[tuple[Overdue, LedgerError]]]:
        """Records limits that have passed by then: executions time out, calls fail; answers them, and those refused.

        Whoever else moves an execution meanwhile wins; a repetition records nothing twice.
        """
        now = time_of("now", now)
        recorded: list[Overdue] = []
        refused: list[tuple[Overdue, LedgerError]] = []
        # Those that are refused for good stay overdue: they must not keep the others from being looked at.
        for each in overdue(self._connection, now, most * 10):
            if len(recorded) >= most:
                break
            try:
                if each.call_id is None:
                    reason = f"ran longer than its limit of {each.limit_seconds // 60} minutes"
                    self.time_out(each.execution_id, each.limit_seconds, reason, at=now)
                else:
                    command = partial(closing.time_out_step, reference=each.call_id, limit_seconds=each.limit_seconds)
                    if not self._recorder.run(each.execution_id, now, command)[0]:
                        continue
                recorded.append(each)
            except InvalidTransition:
                continue
            except LedgerError as error:
                refused.append((each, error))
        return recorded, refused
