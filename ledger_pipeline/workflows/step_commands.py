"""The commands on the steps of an execution."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from importlib.resources import files
from typing import Any
from uuid import UUID

from ledger_pipeline.arguments import id_of
from ledger_pipeline.errors import InvalidTransition, NotFound, SequenceConflict
from ledger_pipeline.events.state import ExecutionState, initial
from ledger_pipeline.hot.database import translated
from ledger_pipeline.workflows import closing, dispatching, starting
from ledger_pipeline.workflows.answers import Dispatched, Recorded
from ledger_pipeline.workflows.dispatching import ChildRequest, Given
from ledger_pipeline.workflows.recorder import TRIES
from ledger_pipeline.workflows.recording import Recording
from ledger_pipeline.workflows.references import StepRef
from ledger_pipeline.workflows.start_commands import StartCommands

_ABOVE = (files("ledger_pipeline.workflows") / "sql" / "above.sql").read_bytes()


class StepCommands(StartCommands):
    """Dispatches steps and closes their calls."""

    def dispatch(
        self,
        execution_id: UUID,
        step: StepRef | None = None,
        *,
        call_id: UUID | None = None,
        input: Any = None,
        tool_parameters: Any = None,
        agent_id: UUID | None = None,
        agent_name: str | None = None,
        at: datetime | None = None,
    ) -> Dispatched:
        """Opens a call of a step that is ready, by default the first, and answers the work with variables filled in.

        A condition is judged and its branch taken, a loop begins its first iteration, a parallel step makes its
        branches ready, and a workflow link starts its child execution, all recorded at once.
        """
        given = Given(call_id, input, tool_parameters, agent_id, agent_name)
        return self._dispatch(execution_id, at, partial(dispatching.dispatch, reference=step, given=given))

    def dispatch_unplanned(
        self,
        execution_id: UUID,
        *,
        name: str | None = None,
        agent: str | None = None,
        prompt: str | None = None,
        tool_name: str | None = None,
        parameters: Any = None,
        retry_count: int = 0,
        call_id: UUID | None = None,
        at: datetime | None = None,
    ) -> Dispatched:
        """Opens a call of an action that the plan lacks; the step joins the end of the plan."""
        fields = {
            "type": "action",
            "name": name,
            "agent_id": agent,
            "prompt_template": prompt,
            "tool_name": tool_name,
            "parameters": parameters,
            "retry_count": retry_count or None,
        }
        config = {field: value for field, value in fields.items() if value is not None}
        starting.check_unplanned(config)

        def command(recording: Recording) -> tuple[Dispatched, ChildRequest | None]:
            entry = starting.unplanned_entry(recording.state, recording.new_id(), config)
            return dispatching.dispatch_unplanned(recording, entry, Given(call_id=call_id))

        return self._dispatch(execution_id, at, command)

    def _dispatch(
        self,
        execution_id: UUID,
        at: datetime | None,
        command: Callable[[Recording], tuple[Dispatched, ChildRequest | None]],
    ) -> Dispatched:
        execution_id = id_of("execution_id", execution_id)
        for attempt in range(TRIES):
            recording = self._recorder.recording(self.state(execution_id), at)
            dispatched, request = command(recording)
            try:
                if request is None:
                    self._recorder.append(execution_id, recording)
                else:
                    # Parent and child together: neither a link to nothing nor a child that nobody knows of.
                    child = self._child(recording, request)
                    self._recorder.append_together({execution_id: recording, request.execution_id: child})
                    dispatched = replace(dispatched, warnings=(*dispatched.warnings, *child.warnings))
                return dispatched
            except SequenceConflict:
                if attempt == TRIES - 1:
                    raise
        raise AssertionError("unreachable: the last try returns or raises")

    def _child(self, parent: Recording, request: ChildRequest) -> Recording:
        """The recording of a link's child: of the parent's drive, customer, user and mode."""
        state = parent.state
        drive = None if state.drive_id is None else UUID(state.drive_id)
        workflow, drive_of_child = self._workflow(request.workflow_name, None, drive)
        if drive_of_child != drive:
            raise NotFound(f"template {request.workflow_name} does not exist where the execution runs: without a drive")
        self._refuse_circle(state, workflow.template_id, request.workflow_name)
        child = self._recorder.recording(initial(), parent.at)
        starting.create(
            child,
            request.execution_id,
            workflow,
            request.input,
            None,
            drive_id=drive,
            customer_id=state.customer_id,
            user_id=state.user_id,
            mode=state.mode,
            triggered_by=self._recorder.operator.id or state.triggered_by,
            triggered_by_kind=self._recorder.operator.kind or state.triggered_by_kind,
            trigger_context={"parent_execution_id": state.id, "step_name": request.step_name},
            parent_execution_id=state.id,
            parent_step_id=request.step_id,
        )
        starting.begin(child)
        return child

    def _refuse_circle(self, state: ExecutionState, template_id: UUID | None, name: str) -> None:
        """Raises InvalidTransition when this execution, or one that it was started from, runs the linked template.

        A save refuses the circles that its author may see; a private template may close another one.
        """
        with translated():
            above = self._connection.execute(_ABOVE, (state.id,)).fetchall()
        if template_id in {row["template_id"] for row in above}:
            raise InvalidTransition(
                f"workflow_name: {name!r} runs already, in an execution that this one was started from: it would never "
                "end; allowed: a workflow that none of them runs; skip the step, or fail it"
            )

    def complete_step(
        self,
        execution_id: UUID,
        call: StepRef,
        output: Any = None,
        *,
        tool_result: Any = None,
        at: datetime | None = None,
    ) -> Recorded:
        """Closes a call that ended well; a top-level step's output joins the context as `step_<n>_output`."""
        return self._run(
            execution_id, at, partial(closing.complete_step, call=call, output=output, tool_result=tool_result)
        )

    def fail_step(
        self,
        execution_id: UUID,
        call: StepRef,
        message: str,
        *,
        code: str | None = None,
        details: dict[str, Any] | None = None,
        retriable: bool = True,
        delay_ms: int | None = None,
        at: datetime | None = None,
    ) -> Recorded:
        """Closes a call that ended with an error.

        The step is retried while it has attempts left, unless the error is not `retriable`; then its `on_failure` says
        how the execution goes on. `fail`, the default, fails it in the same append.
        """
        command = partial(
            closing.fail_step,
            call=call,
            message=message,
            code=code,
            details=details,
            retriable=retriable,
            delay_ms=delay_ms,
        )
        return self._run(execution_id, at, command)

    def retry_step(
        self, execution_id: UUID, step: StepRef, *, delay_ms: int | None = None, at: datetime | None = None
    ) -> Recorded:
        """Lets a failed step that the execution went past run again; refused beyond its maximum of attempts."""
        return self._run(execution_id, at, partial(closing.retry_step, reference=step, delay_ms=delay_ms))

    def skip_step(
        self, execution_id: UUID, step: StepRef, reason: str | None = None, *, at: datetime | None = None
    ) -> Recorded:
        """Passes over a step that has not run."""
        return self._run(execution_id, at, partial(closing.skip_step, reference=step, reason=reason))

    def collect_child(self, execution_id: UUID, step: StepRef, *, at: datetime | None = None) -> Recorded:
        """Ends a workflow link as its child execution has ended: with its output, or with its error."""
        linked = closing.linked_step(self.state(execution_id), step)
        child = self._recorder.state_of_any(UUID(linked.child_execution_id))
        return self._run(execution_id, at, partial(closing.collect_child, reference=linked.id, child=child))
