"""`verify`: re-hashes every stored event, hot and cold, and names the first bad one of each execution."""

from collections.abc import Callable
from pathlib import Path

from ledger_pipeline.cold.folder import strays
from ledger_pipeline.cold.manifest import committed_weeks
from ledger_pipeline.cold.reader import open_read
from ledger_pipeline.cold.tree import read_tree
from ledger_pipeline.hot.database import Connection, translated
from ledger_pipeline.replay.checkpoint_check import checkpoint_problems
from ledger_pipeline.replay.cold_check import ask_cold, collect_cold
from ledger_pipeline.replay.hashers import Hashers
from ledger_pipeline.replay.hot_check import ask_hot, collect_hot, read_heads
from ledger_pipeline.replay.kept_work import KeptWork
from ledger_pipeline.replay.note_check import KeptNotes, note_findings
from ledger_pipeline.replay.noted_heads import cold_files, noted_problems
from ledger_pipeline.replay.removed_check import read_removed, removals
from ledger_pipeline.replay.tree_check import tree_problems
from ledger_pipeline.replay.verification import Problem, Report, describe_fault
from ledger_pipeline.replay.work import Work, work_tables
from ledger_pipeline.settings import ColdStore

_FIRST_FAULTS = Path(__file__).parent / "sql" / "first_faults.sql"


def _faults(work: Work, *, complete: bool) -> dict[str, Problem]:
    """The first fault of each execution that has one."""
    rows = work.database.execute(_FIRST_FAULTS.read_text()).fetchall()
    # Where a week could not be read, what its executions lack is told by its files.
    kept = [row for row in rows if complete or row[3] == "altered"]
    return {
        execution: Problem(describe_fault(execution, sequence, fault, other), event_id=event)
        for execution, sequence, event, fault, other in kept
    }


def verify(
    connection: Connection,
    cold_dir: ColdStore,
    progress: Callable[[int], None] | None = None,
    notes: KeptNotes | None = None,
    kept: KeptWork | None = None,
) -> Report:
    """Checks leaves, chains, sequences and heads of every execution, and files, roots, checkpoints and the tree.

    `progress` is told how many events have been checked; `notes` are such that the tree must agree with;
    `kept` is where a run that is broken off leaves what it has found, and where this one goes on from. One read of
    hot and cold together: the manifest stays locked against a roll's last step while hot rows are hashed.
    """
    with open_read(connection), translated():
        recorded = connection.execute(
            "SELECT coalesce(sum(last_sequence), 0)::bigint AS events, EXISTS (SELECT FROM checkpoints) AS closed"
            " FROM execution_heads"
        ).fetchone()
        assert recorded is not None
        with (
            work_tables(progress, kept, for_checkpoints=recorded["closed"]) as work,
            Hashers(recorded["events"]) as hashers,
        ):
            return _verify(connection, cold_dir, work, hashers, notes)


def _verify(
    connection: Connection, cold_dir: ColdStore, work: Work, hashers: Hashers, notes: KeptNotes | None
) -> Report:
    archived = committed_weeks(connection)
    committed = [week for week in archived if week.removal is None]
    gone = [week for week in archived if week.removal is not None]
    # The server is asked for hot events while cold ones are hashed.
    cold = ask_cold(work, hashers, cold_dir, committed)
    hot = ask_hot(connection, work, hashers)
    problems = read_removed(connection, work.database, gone)
    problems += [Problem(what) for what in strays(connection, cold_dir, missing=False)]
    complete, found = collect_cold(work, cold_dir, cold)
    problems += found
    collect_hot(connection, work, hot)
    read_heads(connection, work)
    faults = _faults(work, complete=complete)
    problems += faults.values()
    tree = read_tree(connection)
    problems += tree_problems(connection, tree)
    closed, found, doubtful = checkpoint_problems(connection, work, hashers, gone) if complete else ([], [], set[int]())
    problems += found
    if notes is not None:
        findings = note_findings(notes, tree, doubtful)
        problems += findings.problems
        if complete:
            in_doubt = {noted.batch for noted in findings.heads}
            batches_in_doubt = [batch for batch in closed if batch.n in in_doubt]
            files = cold_files(cold_dir, committed)
            problems += noted_problems(connection, work.database, files, findings.heads, batches_in_doubt, faults)
    return Report(
        events=work.one("SELECT coalesce(sum(events), 0) FROM segments"),
        executions=work.one("SELECT count(*) FROM heads"),
        weeks=work.one("SELECT count(DISTINCT week) FROM segments WHERE events > 0"),
        checkpoints=len(closed),
        problems=problems,
        removed=removals(gone),
        resumed_events=work.resumed_events,
    )
