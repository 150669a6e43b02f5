"""The cold store's files: named by their content, below the ledger's instance id, never changed once named."""

import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from io import RawIOBase
from pathlib import Path, PurePosixPath
from uuid import UUID

from ledger_pipeline.cold.manifest import StoredFile
from ledger_pipeline.durable import sync
from ledger_pipeline.errors import ColdStoreDamaged, ColdStoreUnreachable, LedgerError

_READ_BYTES = 1 << 20
_TEMPORARY_SUFFIX = ".part"


class ColdStoreUnwritable(LedgerError):
    """The cold store's folder takes no file: full, missing or not ours to write."""

    code = "cold_store_unwritable"


@dataclass(frozen=True)
class Orphan:
    """A file in the ledger's part of the cold store that no manifest row names."""

    name: str
    bytes: int


def week_folder(instance_id: UUID, week: date) -> PurePosixPath:
    """Where a week's files are, below the cold store's root: a copied ledger has another instance id."""
    return PurePosixPath(str(instance_id), f"week={week.isoformat()}")


class StagedFile(RawIOBase):
    """A file that is being written: hashed on the way, durable and under its final name only once published."""

    def __init__(self, cold_dir: Path, folder: PurePosixPath) -> None:
        super().__init__()
        self._cold_dir = cold_dir
        self._folder = folder
        self._hash = sha256()
        self._path = cold_dir / folder / f".{secrets.token_hex(8)}{_TEMPORARY_SUFFIX}"
        self.size = 0
        try:
            _make_folders(cold_dir, folder)
            self._file = self._path.open("xb")
        except OSError as error:
            raise ColdStoreUnwritable(f"cannot write to the cold store: {error}") from None

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.size

    def write(self, data: bytes, /) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]  bytes only
        try:
            self._file.write(data)
        except OSError as error:
            raise ColdStoreUnwritable(f"cannot write to the cold store: {error}") from None
        self._hash.update(data)
        self.size += len(data)
        return len(data)

    def publish(self) -> tuple[str, str]:
        """Makes the file durable under its name; answers that, below the cold store's root, and the SHA-256."""
        digest = self._hash.hexdigest()
        name = self._folder / f"{digest[:16]}.parquet"
        final = self._cold_dir / name
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            # Replaces what an interrupted roll left under this name; no committed week's file is ever written again.
            self._path.replace(final)
            sync(final.parent)
        except OSError as error:
            raise ColdStoreUnwritable(f"cannot write to the cold store: {error}") from None
        return str(name), digest

    def discard(self) -> None:
        """Removes the temporary file; does nothing once published."""
        with suppress(OSError):  # what is still buffered doesn't fit on a full disk, either
            self._file.close()
        self._path.unlink(missing_ok=True)


_seen: dict[tuple[str, int, int, int], str] = {}
"""SHA-256 of files that this process has hashed, by path, inode, size and time of change."""


def check_file(cold_dir: Path, file: StoredFile, *, again: bool = False) -> Path:
    """The path of a file that is what the manifest says; raises ColdStoreDamaged, naming it, when it isn't.

    Raises ColdStoreUnreachable when the whole folder isn't there, or may not be read: that says nothing of its files.

    A file that didn't change since this process hashed it is not hashed again, unless `again` asks for it.
    """
    path = _path_of(cold_dir, file.name)
    try:
        status = path.stat()
        if status.st_size != file.bytes:
            raise ColdStoreDamaged(
                f"cold file {path} has {status.st_size} bytes; {file.bytes} were written: restore it"
            )
        key = (str(path), status.st_ino, status.st_size, status.st_mtime_ns)
        digest = None if again else _seen.get(key)
        if digest is None:
            digest = _seen[key] = _digest(path)
    except (FileNotFoundError, NotADirectoryError):
        if not cold_dir.is_dir():
            raise ColdStoreUnreachable(
                f"the cold store {cold_dir} is not there, and {file.name} is needed from it: set LEDGER_COLD_URL (or"
                " LEDGER_HOME) to the folder that the roll writes to, or mount it"
            ) from None
        raise ColdStoreDamaged(f"cold file {path} is missing: restore it from a copy") from None
    except PermissionError:
        raise ColdStoreUnreachable(
            f"the cold store {cold_dir} may not be read by this program, and {file.name} is needed from it: let its"
            " user read the folder and the files in it"
        ) from None
    except OSError as error:
        raise ColdStoreDamaged(f"cold file {path} cannot be read: {error.strerror}") from None
    if digest != file.sha256:
        raise ColdStoreDamaged(f"cold file {path} was altered: its SHA-256 is {digest}, not {file.sha256}: restore it")
    return path


def unnamed_files(cold_dir: Path, instance_id: UUID, named: Iterable[str]) -> list[Orphan]:
    """Files in this instance's folder that none of the names covers, temporary ones included."""
    known = set(named)
    root = cold_dir / str(instance_id)
    found = (path for path in sorted(root.rglob("*")) if path.is_file())
    names = ((path, path.relative_to(cold_dir).as_posix()) for path in found)
    return [Orphan(name, path.stat().st_size) for path, name in names if name not in known]


def remove_orphan(cold_dir: Path, orphan: Orphan) -> None:
    """Deletes one orphan."""
    _path_of(cold_dir, orphan.name).unlink(missing_ok=True)


def _path_of(cold_dir: Path, name: str) -> Path:
    relative = PurePosixPath(name)
    if relative.is_absolute() or ".." in relative.parts:
        raise ColdStoreDamaged(f"the manifest names the file {name!r}, which is not below the cold store")
    return cold_dir / relative


def _digest(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _make_folders(cold_dir: Path, folder: PurePosixPath) -> None:
    cold_dir.mkdir(parents=True, exist_ok=True)
    path = cold_dir
    for part in folder.parts:
        parent, path = path, path / part
        path.mkdir(exist_ok=True)
        sync(parent)
