"""The commands with which executions begin."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, TypedDict, Unpack
from uuid import UUID

from ledger_pipeline.arguments import id_of, id_or_none, object_or_none
from ledger_pipeline.errors import InvalidInput, InvalidReference, NotFound
from ledger_pipeline.events.catalogue import WorkflowCreated
from ledger_pipeline.events.enums import OperatorKind, WorkflowType
from ledger_pipeline.events.state import initial
from ledger_pipeline.templates import Definition, Document, Templates, read_definition
from ledger_pipeline.workflows import starting
from ledger_pipeline.workflows.answers import Recorded, Started
from ledger_pipeline.workflows.commands import Commands
from ledger_pipeline.workflows.recording import Recording
from ledger_pipeline.workflows.starting import Workflow

_AGENTS = """
    SELECT a.name, min(a.id::text)::uuid AS id, count(*) AS agents
    FROM (
        SELECT id, name, rank() OVER (PARTITION BY name ORDER BY drive_id IS NULL) AS place
        FROM agents
        WHERE name = ANY(%s) AND (drive_id = %s OR drive_id IS NULL)
    ) a
    WHERE a.place = 1
    GROUP BY a.name
    """
"""The execution's drive comes first, then the agents of no drive; another drive's are never meant."""


class Beginning(TypedDict, total=False):
    """What may be said about an execution when it is created."""

    definition: Document
    version: int | str
    input: Any
    execution_id: UUID
    drive_id: UUID
    customer_id: UUID
    user_id: UUID
    agent_id: UUID
    agent_name: str
    mode: str
    workflow_type: WorkflowType | str
    budget_usd: Decimal
    budget_tokens: int
    trigger_context: Mapping[str, Any]
    triggered_by: str
    triggered_by_kind: OperatorKind | str
    parent_execution_id: UUID
    parent_step_id: UUID
    metadata: Mapping[str, Any]
    at: datetime


class StartCommands(Commands):
    """Creates executions, sets them going, runs failed ones again."""

    def start(self, template: UUID | str | None = None, **given: Unpack[Beginning]) -> Started:
        """Creates an execution and sets it going; takes what `create` takes."""
        recording = self._create(template, given)
        starting.begin(recording)
        return self._started(recording)

    def create(self, template: UUID | str | None = None, **given: Unpack[Beginning]) -> Started:
        """Creates an execution, which waits until `begin`.

        It is made from a stored `template` (its id, or its name in `drive_id`, at a `version`), or from a `definition`
        at hand. `input` is checked and its defaults filled. A template must be active or deprecated; what is doubtful,
        a deprecated template or a workflow without steps, is a warning in the answer and in the execution's log.
        """
        return self._started(self._create(template, given))

    def begin(self, execution_id: UUID, *, at: datetime | None = None) -> Recorded:
        """Sets a created execution going."""
        return self._run(execution_id, at, starting.begin)

    def _create(self, template: UUID | str | None, given: Beginning) -> Recording:
        """Records a creation; the execution's id is the recording's."""
        fields = {**given}
        definition, drive_id = given.get("definition"), id_or_none("drive_id", given.get("drive_id"))
        workflow, drive = self._workflow(template, definition, drive_id, given.get("version"))
        recording = self._recorder.recording(initial(), given.get("at"))
        operator = self._recorder.operator
        fields["triggered_by"] = given.get("triggered_by") or operator.id
        fields["triggered_by_kind"] = given.get("triggered_by_kind") or operator.kind
        execution_id = id_or_none("execution_id", given.get("execution_id")) or recording.new_id()
        for judged in ("definition", "version", "input", "execution_id", "drive_id", "metadata", "at"):
            fields.pop(judged, None)
        starting.create(
            recording, execution_id, workflow, given.get("input"), given.get("metadata"), drive_id=drive, **fields
        )
        return recording

    def _started(self, recording: Recording) -> Started:
        execution_id = UUID(str(recording.state.id))
        recorded = self._recorder.append(execution_id, recording)
        return Started(execution_id, recorded.last_sequence, recorded.warnings)

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
            agents = self._agents(reading.definition, drive_id)
            return Workflow(reading.definition, warnings=warnings, agents=agents), drive_id
        assert template is not None
        stored = Templates(self._connection).get(template, drive_id=drive_id, version=version)
        warnings = tuple(str(fault) for fault in stored.check_runnable())
        workflow = Workflow(
            stored.definition,
            template_id=stored.id,
            template_version=stored.version_number,
            version_tag=stored.version_tag,
            step_ids=stored.step_ids,
            agents=self._agents(stored.definition, stored.drive_id),
            warnings=warnings,
        )
        return workflow, stored.drive_id

    def _agents(self, definition: Definition, drive_id: UUID | None) -> dict[str, UUID]:
        """The agents that a definition names, where there are such; raises InvalidReference for a name of several."""
        names = starting.agent_names(definition)
        if not names:
            return {}
        rows = self._connection.execute(_AGENTS, (names, drive_id)).fetchall()
        for row in rows:
            if row["agents"] > 1:
                raise InvalidReference(
                    f"agent_id: {row['name']!r} is the name of {row['agents']} agents that this execution may mean; "
                    "allowed: the id of one, or a name that only one has"
                )
        return {row["name"]: row["id"] for row in rows}

    def rerun(
        self,
        execution_id: UUID,
        *,
        new_execution_id: UUID | None = None,
        trigger_context: Mapping[str, Any] | None = None,
        at: datetime | None = None,
    ) -> Started:
        """Runs a failed, timed out, aborted or cancelled execution again: a new one with the same plan and input."""
        starting.check_rerun(self._recorder.state_of_any(execution_id))
        created = self._recorder.last_event(execution_id, "WorkflowCreated")
        if created is None:
            raise NotFound(f"execution_id: the first event of {execution_id} can't be read")
        first = WorkflowCreated.from_row(created)
        if first.template_id is not None:
            Templates(self._connection).get(first.template_id).check_runnable()
        recording = self._recorder.recording(initial(), at)
        chosen = id_or_none("new_execution_id", new_execution_id) or recording.new_id()
        operator = self._recorder.operator
        starting.rerun(
            recording,
            chosen,
            first,
            retry_of=id_of("execution_id", execution_id),
            triggered_by=operator.id,
            triggered_by_kind=operator.kind,
            trigger_context=object_or_none("trigger_context", trigger_context),
        )
        starting.begin(recording)
        return self._started(recording)
