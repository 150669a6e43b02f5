"""What an import did."""

from dataclasses import dataclass
from pathlib import Path

from ledger_pipeline.ingest.rejects import Reject


@dataclass(frozen=True)
class ImportResult:
    """Counts of one imported file.

    `lines` holds something (blank ones don't count), `events` are what the lines mean, `new_events` those that the
    ledger did not have yet. `first_rejects` names the first lines that were put aside, `rejects_file` holds them all.
    """

    source: Path
    lines: int
    events: int
    new_events: int
    executions: int
    rejects: int = 0
    rejects_file: Path | None = None
    first_rejects: tuple[Reject, ...] = ()
