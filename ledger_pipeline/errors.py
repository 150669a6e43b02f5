"""The project's own exceptions; each message says what was wrong, what is allowed and what to do."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with what was given: where (`steps[2].on_true`), what, and what is allowed."""

    where: str
    what: str
    allowed: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (f"; allowed: {self.allowed}" if self.allowed else "")


class LedgerError(Exception):
    """Base of every error that the ledger raises on purpose; the CLI prints it as one line and exits with 2."""


class InvalidInput(LedgerError):
    """Input that the ledger refuses: the message names the field, what was wrong and what is allowed."""


class FaultyInput(InvalidInput):
    """Input with one or more faults, all of them named, in the order of what was given."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(str(fault) for fault in self.faults))


class InvalidDefinition(FaultyInput):
    """A workflow definition that can't be saved."""


class SchemaViolation(FaultyInput):
    """A value that its JSON Schema refuses: an execution's input or output, a person's input."""


class VersionConflict(InvalidInput):
    """A template's version or tag is not the one that the caller expected: read again, then retry."""


class AppendRefused(InvalidInput):
    """An append that the ledger refuses as a whole: a wrong transition, reference, time or sequence."""


class SequenceConflict(AppendRefused):
    """The execution's last sequence is not the one that the caller expected: read again, then retry."""


class NotFound(LedgerError):
    """What was asked for does not exist, hot or cold."""


class ServerUnavailable(LedgerError):
    """The database cannot be reached or started."""


class SchemaMismatch(LedgerError):
    """The database's schema is not the one that this version works with: run `ledger-pipeline migrate`."""


class EpochMismatch(LedgerError):
    """The database is not the one that wrote its last event (restore, failover, copy): run `ledger-pipeline adopt`."""


class ColdStoreDamaged(LedgerError):
    """A file that the manifest names is missing or differs from what was written."""


class ReconciliationFailed(LedgerError):
    """Derived data differs from the events it was built from; the first difference is named."""
