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


class InvalidIdentifier(InvalidInput):
    """An id that is no UUID, or a name that is no text."""

    code = "invalid_identifier"


class InvalidTime(InvalidInput):
    """A time that is none, has no time zone, or that no event can have: before 1970, ahead of the server's clock."""

    code = "invalid_time"


class InvalidFilter(InvalidInput):
    """A filter that the answer doesn't have, or a value that it can't have."""

    code = "invalid_filter"


class InvalidPageSize(InvalidInput):
    """A page of more items than are given at once, or of none."""

    code = "invalid_page_size"


class InvalidCursor(InvalidInput):
    """A cursor that no page of this answer, asked with these filters, has given."""

    code = "invalid_cursor"


class DeletionRefused(InvalidInput):
    """A deletion, or a change, of what the ledger keeps: events, versions, executions with events in the hot store."""

    code = "deletion_refused"


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
    """What the ledger refuses as a whole when it would be stored: a payload's shape, for one; see the kinds below."""

    code = "append_refused"


class InvalidReference(AppendRefused):
    """Input that names a step, call, approval, drive, user or other thing that isn't there, or that is taken."""

    code = "invalid_reference"


class InvalidTransition(AppendRefused):
    """A command or an event that the execution's state does not allow now: the message says what it allows."""

    code = "invalid_transition"


class SequenceConflict(AppendRefused):
    """The execution's last sequence is not the one that the caller expected: read again, then retry."""

    code = "sequence_conflict"


class IdempotencyConflict(AppendRefused):
    """An idempotency key that was used for another request."""

    code = "idempotency_conflict"


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


class EventsRemoved(LedgerError):
    """Events that were removed under retention: they are gone, and no answer is given without them."""

    code = "events_removed"


class ColdStoreUnreachable(LedgerError):
    """The cold store isn't there or doesn't answer, or this program may not read it: nothing is known of its files."""

    code = "cold_store_unreachable"


class ColdStoreUnwritable(LedgerError):
    """The cold store takes no file: full, missing, not ours to write, or another one has the file's name."""

    code = "cold_store_unwritable"


class NotesContradicted(LedgerError):
    """A signed note says something else than the ledger: the database was rolled back, or its past rewritten."""

    code = "notes_contradicted"


class ArtifactDamaged(LedgerError):
    """An artifact's stored bytes are missing or differ from what was recorded."""

    code = "artifact_damaged"


class ReconciliationFailed(LedgerError):
    """Derived data differs from the events it was built from; the first difference is named."""

    code = "reconciliation_failed"
