"""The commands with which executions begin."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from ledger_pipeline.errors import InvalidInput
from ledger_pipeline.events.catalogue import WorkflowCreated
from ledger_pipeline.events.enums import OperatorKind, WorkflowType
from ledger_pipeline.events.state import initial
from ledger_pipeline.templates import Definition, Document, Templates, read_definition
from ledger_pipeline.workflows import starting
from ledger_pipeline.workflows.answers import Recorded, Started
from ledger_pipeline.workflows.commands import Commands
from ledger_pipeline.workflows.starting import Workflow

_AGENTS = "SELECT name, min(id::text)::uuid AS id FROM agents WHERE name = ANY(%s) GROUP BY name"


class StartCommands(Commands):
    """Creates executions, sets them going, runs failed ones again."""

    def start(self, template: UUID | str | None = None, **given: Any) -> Started:
        """Creates an execution and sets it going; takes what `create` takes."""
        return self._create(template, begin=True, **given)

    def create(self, template: UUID | str | None = None, **given: Any) -> Started:
        """Creates an execution, which waits until `begin`.

        It is made from a stored `template` (its id, or its name in `drive_id`, at a `version`), or from a `definition`
        at hand. `input` is checked and its defaults filled. A template must be active or deprecated; what is doubtful,
        a deprecated template or a workflow without steps, is a warning in the answer and in the execution's log.
        """
        return self._create(template, begin=False, **given)

    def begin(self, execution_id: UUID, *, at: datetime | None = None) -> Recorded:
        """Sets a created execution going."""
        return self._run(execution_id, at, starting.begin)

    def _create(
        self,
        template: UUID | str | None,
        *,
        begin: bool,
        definition: Document | None = None,
        version: int | str | None = None,
        input: Any = None,
        execution_id: UUID | None = None,
        drive_id: UUID | None = None,
        customer_id: UUID | None = None,
        user_id: UUID | None = None,
        agent_id: UUID | None = None,
        agent_name: str | None = None,
        mode: str | None = None,
        workflow_type: WorkflowType | str | None = None,
        budget_usd: Decimal | None = None,
        budget_tokens: int | None = None,
        trigger_context: Mapping[str, Any] | None = None,
        triggered_by: str | None = None,
        triggered_by_kind: OperatorKind | str | None = None,
        parent_execution_id: UUID | None = None,
        parent_step_id: UUID | None = None,
        metadata: Mapping[str, Any] | None = None,
        at: datetime | None = None,
    ) -> Started:
        workflow, drive = self._workflow(template, definition, drive_id, version)
        operator = self._recorder.operator
        recording = self._recorder.recording(initial(), at)
        chosen = execution_id or recording.new_id()
        starting.create(
            recording,
            chosen,
            workflow,
            input,
            metadata,
            drive_id=drive,
            customer_id=customer_id,
            user_id=user_id,
            agent_id=agent_id,
            agent_name=agent_name,
            mode=mode,
            workflow_type=workflow_type,
            budget_usd=budget_usd,
            budget_tokens=budget_tokens,
            trigger_context=None if trigger_context is None else dict(trigger_context),
            triggered_by=triggered_by or operator.id,
            triggered_by_kind=triggered_by_kind or operator.kind,
            parent_execution_id=parent_execution_id,
            parent_step_id=parent_step_id,
        )
        if begin:
            starting.begin(recording)
        recorded = self._recorder.append(chosen, recording)
        return Started(chosen, recorded.last_sequence, recorded.warnings)

    def _workflow(
        self,
        template: UUID | str | None,
        definition: Document | None,
        drive_id: UUID | None,
        version: int | str | None = None,
    ) -> tuple[Workflow, UUID | None]:
        """What an execution is made from, and the drive that it belongs to."""
        if (template is None) == (definition is None):
            raise InvalidInput("template: give a stored template or a definition, one of the two")
        if definition is not None:
            reading = read_definition(definition)
            # That there are no steps is said by the creation itself.
            warnings = tuple(str(fault) for fault in reading.warnings if fault.where != "steps")
            return Workflow(reading.definition, warnings=warnings, agents=self._agents(reading.definition)), drive_id
        assert template is not None
        stored = Templates(self._connection).get(template, drive_id=drive_id, version=version)
        warnings = tuple(str(fault) for fault in stored.check_runnable())
        workflow = Workflow(
            stored.definition,
            template_id=stored.id,
            template_version=stored.version_number,
            version_tag=stored.version_tag,
            step_ids=stored.step_ids,
            agents=self._agents(stored.definition),
            warnings=warnings,
        )
        return workflow, stored.drive_id

    def _agents(self, definition: Definition) -> dict[str, UUID]:
        names = starting.agent_names(definition)
        if not names:
            return {}
        return {row["name"]: row["id"] for row in self._connection.execute(_AGENTS, (names,)).fetchall()}

    def rerun(
        self,
        execution_id: UUID,
        *,
        new_execution_id: UUID | None = None,
        trigger_context: Mapping[str, Any] | None = None,
        at: datetime | None = None,
    ) -> Started:
        """Runs a failed, timed out, aborted or cancelled execution again: a new one with the same plan and input."""
        starting.check_rerun(self.state(execution_id))
        first = WorkflowCreated.from_row(next(self._store.events(execution_id)))
        if first.template_id is not None:
            Templates(self._connection).get(first.template_id).check_runnable()
        recording = self._recorder.recording(initial(), at)
        chosen, operator = new_execution_id or recording.new_id(), self._recorder.operator
        starting.rerun(
            recording,
            chosen,
            first,
            retry_of=execution_id,
            triggered_by=operator.id,
            triggered_by_kind=operator.kind,
            trigger_context=None if trigger_context is None else dict(trigger_context),
        )
        starting.begin(recording)
        recorded = self._recorder.append(chosen, recording)
        return Started(chosen, recorded.last_sequence, recorded.warnings)
