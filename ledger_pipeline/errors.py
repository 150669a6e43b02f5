"""The project's own exceptions; each message says what was wrong, what is allowed and what to do."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with what was given: where (`steps[2].on_true`), what, and what is allowed."""

    where: str
    what: str
    allowed: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (f"; allowed: {self.allowed}" if self.allowed else "")


class LedgerError(Exception):
    """Base of every error that the ledger raises on purpose; the CLI prints it as one line and exits with 2.

    `code` names the kind of error for programs: an API's answer carries it, and it never changes.
    """

    code: ClassVar[str] = "ledger_error"


class InvalidInput(LedgerError):
    """Input that the ledger refuses: the message names the field, what was wrong and what is allowed."""

    code = "invalid_input"


class InvalidTemplate(InvalidInput):
    """A template that can't be run: its status forbids it."""

    code = "invalid_template"


class InvalidReference(InvalidInput):
    """Input that names a step, call, approval or other thing that is not of this execution."""

    code = "invalid_reference"


class FaultyInput(InvalidInput):
    """Input with one or more faults, all of them named, in the order of what was given."""

    code = "faulty_input"

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(str(fault) for fault in self.faults))


class InvalidDefinition(FaultyInput):
    """A workflow definition that can't be saved."""

    code = "invalid_definition"


class SchemaViolation(FaultyInput):
    """A value that its JSON Schema refuses: an execution's input or output, a person's input."""

    code = "schema_violation"


class VersionConflict(InvalidInput):
    """A template's version or tag is not the one that the caller expected: read again, then retry."""

    code = "version_conflict"


class AppendRefused(InvalidInput):
    """An append that the ledger refuses as a whole: a wrong transition, reference, time or sequence."""

    code = "append_refused"


class InvalidTransition(AppendRefused):
    """A command that the execution's state does not allow now: the message says what it allows."""

    code = "invalid_transition"


class SequenceConflict(AppendRefused):
    """The execution's last sequence is not the one that the caller expected: read again, then retry."""

    code = "sequence_conflict"


class NotFound(LedgerError):
    """What was asked for does not exist, hot or cold."""

    code = "not_found"


class PermissionDenied(LedgerError):
    """What the caller's role or drives do not allow; it never tells whether what was named exists."""

    code = "permission_denied"


class ServerUnavailable(LedgerError):
    """The database cannot be reached or started."""

    code = "server_unavailable"


class SchemaMismatch(LedgerError):
    """The database's schema is not the one that this version works with: run `ledger-pipeline migrate`."""

    code = "schema_mismatch"


class EpochMismatch(LedgerError):
    """The database is not the one that wrote its last event (restore, failover, copy): run `ledger-pipeline adopt`."""

    code = "epoch_mismatch"


class ColdStoreDamaged(LedgerError):
    """A file that the manifest names is missing or differs from what was written."""

    code = "cold_store_damaged"


class ArtifactDamaged(LedgerError):
    """An artifact's stored bytes are missing or differ from what was recorded."""

    code = "artifact_damaged"


class ReconciliationFailed(LedgerError):
    """Derived data differs from the events it was built from; the first difference is named."""

    code = "reconciliation_failed"
