"""Opens DuckDB: one session that writes a build, and sandboxed ones that read it."""

import os
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from ledger_pipeline.engines.duckdb.tables import literal

BUILD = "ledger"
"""Catalog name of the build inside the session that writes it."""

STORAGE_VERSION = "v1.0.0"
"""Format of the written file: every DuckDB since 1.0 reads it; without it 2.0 writes one that no 1.x opens."""

ROW_GROUP_ROWS, ADDED_ROW_GROUP_ROWS = 61_440, 20_480
"""Rows that DuckDB writes as one part of a table: those of a new file, and those that join it later.

Fewer than DuckDB's own 122,880 let two threads write more evenly. Later parts are a third, so that none of the first is
put together with them: DuckDB rewrites up to three of this size to make fewer of them.
"""

_Config = dict[str, str | bool | int | float | list[str]]
_NO_EXTENSIONS: _Config = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
_SANDBOX: _Config = _NO_EXTENSIONS | {"enable_external_access": "false", "python_enable_replacements": "false"}
_opening = threading.Lock()


@contextmanager
def building(path: Path) -> Generator[duckdb.DuckDBPyConnection]:
    """A session in UTC with `path` attached as `ledger`, made when missing; the file is whole once the block ends."""
    connection = duckdb.connect(":memory:", config=_NO_EXTENSIONS | {"temp_directory": f"{path}.tmp"})
    try:
        connection.execute("SET GLOBAL TimeZone = 'UTC'")
        # Rows have no promised order, and without one a load needs less memory.
        connection.execute("SET GLOBAL preserve_insertion_order = false")
        # The file is private until it is published, so a crash throws it away: a log to recover it is wasted writing.
        made_for = (
            f"ROW_GROUP_SIZE {ADDED_ROW_GROUP_ROWS}"
            if path.exists()
            else f"ROW_GROUP_SIZE {ROW_GROUP_ROWS}, STORAGE_VERSION {literal(STORAGE_VERSION)}"
        )
        connection.execute(f"ATTACH {literal(str(path))} AS {BUILD} (RECOVERY_MODE no_wal_writes, {made_for})")
        connection.execute(f"USE {BUILD}")
        yield connection
        connection.execute("USE memory")
        connection.execute(f"DETACH {BUILD}")
    finally:
        connection.close()


@contextmanager
def another_session(connection: duckdb.DuckDBPyConnection) -> Generator[duckdb.DuckDBPyConnection]:
    """A session beside the one of `building`, on the same build, for another thread."""
    with connection.cursor() as other:
        other.execute(f"USE {BUILD}")
        yield other


def reading(path: Path) -> duckdb.DuckDBPyConnection:
    """A read-only session that reaches nothing but `path`: no files, no network, no extensions, no settings to change.

    Raises duckdb.Error for a file that is none of DuckDB's.
    """
    # Processes that spill must not share a folder: DuckDB names its spill files by number only.
    spill = Path(tempfile.gettempdir()) / f"ledger-marts-{os.getuid()}-{os.getpid()}"
    with _opening:
        connection = duckdb.connect(str(path), read_only=True, config=_SANDBOX | {"temp_directory": str(spill)})
        try:
            # Connections of one process to one file share its settings: the first locks them for all.
            if not connection.execute("SELECT current_setting('lock_configuration')").fetchall()[0][0]:
                connection.execute("SET GLOBAL TimeZone = 'UTC'")
                connection.execute("SET GLOBAL lock_configuration = true")
        except duckdb.Error:
            connection.close()
            raise
    return connection
