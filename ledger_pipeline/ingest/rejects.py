"""The rejects of an import: lines put aside verbatim, with the reason of each beside them."""

import hashlib
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple, Self

from ledger_pipeline.errors import InvalidInput
from ledger_pipeline.ingest.lines import SourceLine

SHOWN = 10
"""Rejects that a result names; the reasons file has them all."""


class Reject(NamedTuple):
    """A line that was not imported."""

    line: int
    reason: str


class Rejects:
    """Collects the rejects of one file: `NAME-<hash of its path>.rejects` verbatim, and `….reasons.tsv`.

    The files appear when `keep` is called, whole or not at all; an import without rejects removes those of an earlier
    import of the same file. Left without `keep`, as after an error, nothing changes.
    """

    def __init__(self, folder: Path, source: Path) -> None:
        mark = hashlib.sha256(str(source.resolve()).encode(errors="surrogateescape")).hexdigest()[:8]
        self.file = folder / f"{source.name}-{mark}.rejects"
        self.reasons_file = folder / f"{source.name}-{mark}.reasons.tsv"
        self.count = 0
        self.first: list[Reject] = []
        self.last_line = 0
        self._open: list[tuple[Path, Path, IO[bytes]]] = []

    def put(self, line: SourceLine, reason: str) -> None:
        """Puts a line aside; further pieces of the same line follow its first."""
        verbatim, reasons = self._files()
        verbatim.write(line.data)
        if line.number == self.last_line:
            return
        self.last_line = line.number
        self.count += 1
        one_line = " ".join(reason.split())
        reasons.write(f"{line.number}\t{one_line}\n".encode(errors="backslashreplace"))
        if len(self.first) < SHOWN:
            self.first.append(Reject(line.number, one_line))

    def keep(self) -> Path | None:
        """Makes the files appear; the path of the verbatim one, None when nothing was rejected."""
        if not self.count:
            self.file.unlink(missing_ok=True)
            self.reasons_file.unlink(missing_ok=True)
            return None
        for draft, final, file in self._open:
            file.close()
            draft.replace(final)
        self._open.clear()
        return self.file

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for draft, _, file in self._open:
            file.close()
            draft.unlink(missing_ok=True)

    def _files(self) -> tuple[IO[bytes], IO[bytes]]:
        if not self._open:
            try:
                self.file.parent.mkdir(parents=True, exist_ok=True)
                for final in (self.file, self.reasons_file):
                    draft = final.with_name(final.name + ".partial")
                    self._open.append((draft, final, draft.open("wb")))
            except OSError as error:
                raise InvalidInput(f"{self.file.parent}: rejects can't be put aside there: {error.strerror}") from None
        return self._open[0][2], self._open[1][2]
