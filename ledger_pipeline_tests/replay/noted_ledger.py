"""A ledger with cold and hot weeks, two epochs and signed notes, prepared once for many tamperings."""

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString, cast

import verify_ledger
from ledger_pipeline.cold import reader
from ledger_pipeline.cold.checkpoints import close_checkpoint
from ledger_pipeline.cold.notes import sign_tree
from ledger_pipeline.cold.roll import roll_week
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.replay.note_check import KeptNotes
from ledger_pipeline.replay.verification import Problem
from ledger_pipeline.replay.verify import verify
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.cold.histories import MONDAY, NOW, fill


@dataclass(frozen=True)
class NotedLedger:
    """A ledger that can be tampered with: nothing protects its rows any more."""

    connection: Connection
    settings: Settings

    @property
    def notes(self) -> Path:
        """The folder of its notes."""
        (folder,) = self.settings.notes_folder.iterdir()
        return folder

    def problems(self) -> list[Problem]:
        """What `verify --notes` finds."""
        kept = KeptNotes.read(self.connection, self.settings, self.notes)
        return verify(self.connection, self.settings.cold_dir, notes=kept).problems

    def auditors_problems(self) -> list[str]:
        """What `verify_ledger.py` finds, with the key that lies beside the notes."""
        keys = [verify_ledger.parse_key(path.read_text()) for path in self.notes.glob("*.vkey")]
        return verify_ledger.audit(self.settings.cold_dir, self.notes, keys).problems

    @contextmanager
    def changed(self, *statements: str, **parameters: object) -> Generator[None]:
        """Tampers with the database for the block; verification reads inside the same transaction."""
        with self.connection.transaction(force_rollback=True):
            for statement in statements:
                self.connection.execute(cast("LiteralString", statement), parameters or None)
            reader._reading.add(self.connection)  # pyright: ignore[reportPrivateUsage]
            try:
                yield
            finally:
                reader._reading.discard(self.connection)  # pyright: ignore[reportPrivateUsage]

    @contextmanager
    def changed_files(self) -> Generator[None]:
        """Puts the cold store and the notes back after the block."""
        kept = self.settings.home.with_name("kept")
        folders = (self.settings.cold_dir, self.settings.notes_folder)
        for folder in folders:
            shutil.copytree(folder, kept / folder.name)
        try:
            yield
        finally:
            for folder in folders:
                shutil.rmtree(folder)
                shutil.copytree(kept / folder.name, folder)
            shutil.rmtree(kept)

    def cold_file(self, nth: int = 0) -> Path:
        """A file of the cold store, in the order of weeks."""
        return sorted(self.settings.cold_dir.rglob("*.parquet"))[nth]

    def event(self, where: str) -> dict[str, object]:
        """The first hot event that fulfils a condition."""
        row = self.connection.execute(
            cast(
                "LiteralString", f"SELECT * FROM workflow_events WHERE {where} ORDER BY execution_id, sequence LIMIT 1"
            )
        ).fetchone()
        assert row is not None
        return row


def prepare(connection: Connection, settings: Settings) -> NotedLedger:
    """Two rolled weeks and a hot one of batch 1, a second epoch with batch 2, and events that no batch holds yet."""
    fill(connection, 6)
    close_checkpoint(connection)
    sign_tree(connection, settings)
    for nth in range(2):
        roll_week(connection, settings, MONDAY.replace(day=MONDAY.day + 7 * nth), NOW)
    sign_tree(connection, settings)
    connection.execute("SELECT adopt('moved')")
    fill(connection, 3, seed=2)
    close_checkpoint(connection)
    sign_tree(connection, settings)
    fill(connection, 1, seed=3)
    unprotect(connection)
    return NotedLedger(connection, settings)


def unprotect(connection: Connection) -> None:
    """Lets a superuser change what nobody else can; values that no constraint would let pass, too."""
    with connection.transaction():
        tables = connection.execute(
            "SELECT oid::regclass::text AS name FROM pg_class WHERE relnamespace = 'ledger'::regnamespace"
            " AND relkind IN ('r', 'p') AND relhastriggers"
        ).fetchall()
        for row in tables:
            connection.execute(cast("LiteralString", f"ALTER TABLE {row['name']} DISABLE TRIGGER USER"))
        # The ledger goes on as before.
        for table in ("checkpoints", "archive_manifest", "ledger_epochs"):
            connection.execute(cast("LiteralString", f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER in_tree"))
        checks = connection.execute(
            "SELECT conrelid::regclass::text AS name, conname FROM pg_constraint"
            " WHERE conparentid = 0 AND coninhcount = 0 AND connamespace = 'ledger'::regnamespace"
            " AND (confrelid = 'execution_heads'::regclass OR contype = 'c'"
            " AND conrelid IN (SELECT relid FROM pg_partition_tree('workflow_events') UNION"
            " SELECT unnest(ARRAY['checkpoints', 'archive_manifest', 'tree_leaves']::regclass[])))"
        ).fetchall()
        for row in checks:
            connection.execute(cast("LiteralString", f'ALTER TABLE {row["name"]} DROP CONSTRAINT "{row["conname"]}"'))
