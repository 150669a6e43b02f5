"""The tables in which `verify` brings together what it has found of hot and cold events."""

# pyarrow has no type stubs.
# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pyarrow as pa
import pyarrow.ipc  # pyright: ignore[reportUnusedImport]  used as pa.ipc

from ledger_pipeline.replay.kept_work import KeptWork
from ledger_pipeline.replay.sound_events import feed_file, segments_file

_TABLES = Path(__file__).parent / "sql" / "segments.sql"


@dataclass
class Work:
    """A DuckDB with the tables of segments.sql, and a folder for files; the feed is kept where checkpoints need it."""

    database: duckdb.DuckDBPyConnection
    folder: Path
    kept: KeptWork | None
    for_checkpoints: bool
    progress: Callable[[int], None] | None
    resumed_events: int = 0

    def add(self, name: Path) -> None:
        """Adds what `sound_events` wrote under a name."""
        self._insert("INSERT INTO segments BY NAME SELECT * FROM rows", segments_file(name))
        if self.for_checkpoints:
            self._insert("INSERT INTO feed SELECT * FROM rows", feed_file(name))

    def _insert(self, statement: str, file: Path) -> None:
        with pa.memory_map(str(file)) as mapped, pa.ipc.open_file(mapped) as reader:
            self.database.register("rows", reader.read_all())
            self.database.execute(statement)
            self.database.unregister("rows")

    def one(self, query: str) -> int:
        """The number that a query answers with."""
        return int(self.database.execute(query).fetchall()[0][0])

    def tell(self) -> None:
        """Tells the progress: how many events were read."""
        if self.progress is not None:
            self.progress(self.one("SELECT coalesce(sum(events), 0) FROM segments"))


@contextmanager
def work_tables(
    progress: Callable[[int], None] | None, kept: KeptWork | None, *, for_checkpoints: bool
) -> Generator[Work]:
    """Empty tables, in a database that spills to disk, for as long as the block lasts.

    With `kept` work, the files stay when the block is left by an error.
    """
    with TemporaryDirectory(prefix="ledger-verify-") as folder, duckdb.connect() as database:
        # The order of rows tells nothing here, and keeping it costs time.
        database.execute("SET preserve_insertion_order = false")
        database.execute("SET temp_directory = $folder", {"folder": folder})
        database.execute(_TABLES.read_text())
        yield Work(database, kept.folder if kept else Path(folder), kept, for_checkpoints, progress)
    if kept:
        kept.clear()
