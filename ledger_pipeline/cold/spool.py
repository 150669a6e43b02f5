"""Rows that are kept while their reader is slow: in memory at first, in a temporary file when there are many."""

# pyarrow has no type stubs.
# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false

import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import IO, Self

import pyarrow as pa

from ledger_pipeline.events.schema import ARROW_SCHEMA

_MEMORY_BYTES = 64 << 20
_BATCH_ROWS = 65_536


class Spool:
    """Takes batches of `ARROW_SCHEMA` and gives them back, in order and once."""

    def __init__(self, memory_bytes: int = _MEMORY_BYTES) -> None:
        self._memory_bytes = memory_bytes
        self._batches: list[pa.RecordBatch] = []
        self._bytes = 0
        self._file: IO[bytes] | None = None
        self._writer: pa.RecordBatchWriter | None = None
        self.rows = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Keeps a batch."""
        self.rows += batch.num_rows
        if self._writer is not None:
            self._writer.write_batch(batch)
            return
        self._batches.append(batch)
        self._bytes += batch.nbytes
        if self._bytes > self._memory_bytes:
            self._spill()

    def add_table(self, table: pa.Table) -> None:
        """Keeps a table's rows."""
        for batch in table.to_batches(_BATCH_ROWS):
            self.add(batch)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """What was kept; closes the spool for further rows."""
        if self._writer is None or self._file is None:
            kept, self._batches = self._batches, []
            yield from kept
            return
        self._writer.close()
        self._file.seek(0)
        with pa.ipc.open_stream(self._file) as reader:
            yield from reader

    def close(self) -> None:
        """Forgets everything; the temporary file has no name and goes with it."""
        self._batches = []
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _spill(self) -> None:
        file = self._file = tempfile.TemporaryFile(prefix="ledger-spool-")  # noqa: SIM115  closed by close()
        writer = pa.ipc.new_stream(file, ARROW_SCHEMA, options=pa.ipc.IpcWriteOptions(compression="lz4"))
        for batch in self._batches:
            writer.write_batch(batch)
        self._batches = []
        self._writer = writer
