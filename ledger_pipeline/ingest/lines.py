"""The lines of a JSONL file, plain or gzip-compressed, read in bounded memory."""

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from ledger_pipeline.errors import InvalidInput

MAX_LINE_BYTES = 16 * 2**20
"""A longer line is no event of any format; it is put aside in pieces, never held as a whole."""

_GZIP_MAGIC = b"\x1f\x8b"
_READ_FAULTS = (OSError, EOFError, zlib.error)


@dataclass(frozen=True, slots=True)
class SourceLine:
    """One line as read, its line ending included; of a line that is too long, one piece.

    `number` counts from 1. `fault` says why the line can't be one of the format, whatever it holds.
    """

    number: int
    data: bytes
    fault: str | None = None

    @property
    def blank(self) -> bool:
        """Whether the line holds nothing: it is no event and no fault."""
        return self.fault is None and not self.data.strip()

    def text(self) -> str:
        """The line without its ending; raises InvalidInput for a faulty line and for what isn't UTF-8."""
        if self.fault:
            raise InvalidInput(self.fault)
        try:
            return self.data.decode("utf-8-sig" if self.number == 1 else "utf-8").strip("\r\n")
        except UnicodeDecodeError as error:
            raise InvalidInput(f"not UTF-8 at byte {error.start}") from None


def _opened(path: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def check_file(path: Path) -> None:
    """Raises InvalidInput that names the file unless it is a readable file with content, whole where it is gzip.

    A `.gz` is decompressed to its end here, so that a damaged one is refused before anything of it is stored.
    """
    if not path.exists():
        raise InvalidInput(f"{path}: there is no such file")
    if not path.is_file():
        raise InvalidInput(f"{path}: not a file but a {'folder' if path.is_dir() else 'device or pipe'}: name a file")
    try:
        with path.open("rb") as file:
            magic = file.read(2)
        compressed = magic == _GZIP_MAGIC
        if not magic:
            raise InvalidInput(f"{path}: the file is empty")
        if compressed != (path.suffix == ".gz"):
            found = "gzip-compressed but not named .gz" if compressed else "named .gz but not gzip-compressed"
            raise InvalidInput(f"{path}: {found}: rename it")
        if compressed:
            with gzip.open(path, "rb") as file:
                if not file.read(1):
                    raise InvalidInput(f"{path}: the file is empty")
                while file.read(2**20):
                    pass
    except _READ_FAULTS as error:
        raise InvalidInput(f"{path}: cannot be read: {_reason(error)}") from None


def read_lines(path: Path) -> Iterator[SourceLine]:
    """Every line of the file in order, blank ones too; raises InvalidInput when the file can't be read on."""
    try:
        with _opened(path) as file:
            number = 0
            while piece := file.readline(MAX_LINE_BYTES):
                number += 1
                if len(piece) < MAX_LINE_BYTES or piece.endswith(b"\n"):
                    yield SourceLine(number, piece)
                    continue
                fault = f"longer than {MAX_LINE_BYTES} bytes"
                yield SourceLine(number, piece, fault)
                while not piece.endswith(b"\n") and (piece := file.readline(MAX_LINE_BYTES)):
                    yield SourceLine(number, piece, fault)
    except _READ_FAULTS as error:
        raise InvalidInput(f"{path}: cannot be read: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
