"""The cold store's files: named by their content, below the ledger's instance id, never changed once named.

They are in a folder, or in object storage. There a file is read from a copy on this machine, which is judged like the
file itself, and which may be deleted whenever nothing reads it.
"""

import os
import secrets
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from io import RawIOBase
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast
from uuid import UUID

from ledger_pipeline.cold.manifest import StoredFile
from ledger_pipeline.durable import sync
from ledger_pipeline.errors import ColdStoreDamaged, ColdStoreUnreachable, ColdStoreUnwritable
from ledger_pipeline.settings import Bucket, ColdStore

_READ_BYTES = 1 << 20
_TEMPORARY_SUFFIX = ".part"


@dataclass(frozen=True)
class Orphan:
    """A file in the ledger's part of the cold store that no manifest row names.

    In object storage also what was uploaded of one that was never finished; `upload` is that upload's id.
    """

    name: str
    bytes: int
    upload: str | None = None


def week_folder(instance_id: UUID, week: date) -> PurePosixPath:
    """Where a week's files are, below the cold store's root: a copied ledger has another instance id."""
    return PurePosixPath(str(instance_id), f"week={week.isoformat()}")


class StagedFile(RawIOBase):
    """A file that is being written: hashed on the way, durable and under its final name only once published."""

    def __init__(self, cold_dir: ColdStore, folder: PurePosixPath) -> None:
        super().__init__()
        self._cold_dir = cold_dir
        self._folder = folder
        self._hash = sha256()
        self._path: Path | None = None
        self.size = 0
        try:
            if isinstance(cold_dir, Bucket):
                cold_dir.copies.mkdir(parents=True, exist_ok=True)
                # Without a name: nothing of it is left when the process is killed.
                self._file = cast("BinaryIO", tempfile.TemporaryFile(dir=cold_dir.copies))  # noqa: SIM115
            else:
                _make_folders(cold_dir, folder)
                self._path = cold_dir / folder / f".{secrets.token_hex(8)}{_TEMPORARY_SUFFIX}"
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
        try:
            self._file.flush()
            if isinstance(self._cold_dir, Bucket):
                from ledger_pipeline.cold import object_store

                object_store.upload(self._cold_dir, str(name), self._file, self.size, digest)
                self._file.close()
            else:
                self._rename(self._cold_dir / name)
        except OSError as error:
            raise ColdStoreUnwritable(f"cannot write to the cold store: {error}") from None
        return str(name), digest

    def discard(self) -> None:
        """Removes the temporary file; does nothing once published."""
        with suppress(OSError):  # what is still buffered doesn't fit on a full disk, either
            self._file.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _rename(self, final: Path) -> None:
        assert self._path is not None
        os.fsync(self._file.fileno())
        self._file.close()
        # Replaces what an interrupted roll left under this name; no committed week's file is ever written again.
        self._path.replace(final)
        sync(final.parent)


_seen: dict[tuple[str, int, int, int], str] = {}
"""SHA-256 of files that this process has hashed, by path, inode, size and time of change."""


def check_file(cold_dir: ColdStore, file: StoredFile, *, again: bool = False) -> Path:
    """The path of a file that is what the manifest says; raises ColdStoreDamaged, naming it, when it isn't.

    Raises ColdStoreUnreachable when the whole store isn't there, or may not be read: that says nothing of its files.

    A file that didn't change since this process hashed it is not hashed again, unless `again` asks for it. Of object
    storage the path is that of a copy; `again` makes a new one.
    """
    path = path_of(cold_dir, file.name)
    if isinstance(cold_dir, Bucket):
        if again or not _is_copy(path, file):
            _copy(cold_dir, file, path)
        return path
    try:
        _judge(path, str(path), file, again=again)
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
    return path


def path_of(cold_dir: ColdStore, name: str) -> Path:
    """Where a file is, or its copy is or will be, on this machine; nothing is said of what it holds."""
    relative = PurePosixPath(name)
    if relative.is_absolute() or ".." in relative.parts:
        raise ColdStoreDamaged(f"the manifest names the file {name!r}, which is not below the cold store")
    return (cold_dir.copies if isinstance(cold_dir, Bucket) else cold_dir) / relative


def folders(cold_dir: ColdStore) -> list[str]:
    """The names of the folders at the cold store's root, a ledger's files in each."""
    if isinstance(cold_dir, Bucket):
        from ledger_pipeline.cold import object_store

        return object_store.folders(cold_dir)
    if not cold_dir.is_dir():
        raise ColdStoreUnreachable(f"the cold store {cold_dir} is not there: set LEDGER_COLD_URL to it, or mount it")
    return sorted(path.name for path in cold_dir.iterdir())


def found_file(cold_dir: ColdStore, name: str, size: int) -> Path:
    """The path of a file of which no manifest tells; of object storage, that of a new copy."""
    path = path_of(cold_dir, name)
    if isinstance(cold_dir, Bucket):
        _copy(cold_dir, StoredFile(name, "", size), path, judge=False)
    return path


def unnamed_files(cold_dir: ColdStore, instance_id: UUID, named: Iterable[str]) -> list[Orphan]:
    """Files in this instance's folder that none of the names covers, temporary and unfinished ones included."""
    known = set(named)
    if isinstance(cold_dir, Bucket):
        from ledger_pipeline.cold import object_store

        objects = object_store.objects_below(cold_dir, str(instance_id))
        return [Orphan(each.name, each.bytes, each.upload) for each in objects if each.upload or each.name not in known]
    root = cold_dir / str(instance_id)
    found = (path for path in sorted(root.rglob("*")) if path.is_file())
    names = ((path, path.relative_to(cold_dir).as_posix()) for path in found)
    return [Orphan(name, path.stat().st_size) for path, name in names if name not in known]


def remove_orphan(cold_dir: ColdStore, orphan: Orphan) -> None:
    """Deletes one orphan."""
    if isinstance(cold_dir, Bucket):
        from ledger_pipeline.cold import object_store

        object_store.remove(cold_dir, orphan.name, orphan.upload)
    path_of(cold_dir, orphan.name).unlink(missing_ok=True)


def _judge(path: Path, shown: str, file: StoredFile, *, again: bool = False) -> None:
    """Raises ColdStoreDamaged, with the name that is shown, for other bytes than the manifest says."""
    status = path.stat()
    if status.st_size != file.bytes:
        raise ColdStoreDamaged(f"cold file {shown} has {status.st_size} bytes; {file.bytes} were written: restore it")
    key = _identity(path, status)
    digest = None if again else _seen.get(key)
    if digest is None:
        digest = _seen[key] = _digest(path)
    if digest != file.sha256:
        raise ColdStoreDamaged(f"cold file {shown} was altered: its SHA-256 is {digest}, not {file.sha256}: restore it")


def _identity(path: Path, status: os.stat_result) -> tuple[str, int, int, int]:
    return str(path), status.st_ino, status.st_size, status.st_mtime_ns


def _is_copy(path: Path, file: StoredFile) -> bool:
    """Whether a whole copy is there; a damaged one tells nothing of the stored file."""
    try:
        _judge(path, str(path), file)
    except (OSError, ColdStoreDamaged):
        return False
    return True


def _copy(bucket: Bucket, file: StoredFile, path: Path, *, judge: bool = True) -> None:
    """Copies a stored file to a path, where it takes the place of an earlier copy once it has been judged."""
    from ledger_pipeline.cold import object_store

    shown = f"{bucket}/{file.name}"
    draft = path.with_name(f".{secrets.token_hex(8)}{_TEMPORARY_SUFFIX}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("xb") as into:
            found = object_store.download(bucket, file.name, into)
        if not found:
            raise ColdStoreDamaged(
                f"cold file {shown} is missing: restore it, or set LEDGER_COLD_URL to the place that the roll writes to"
            )
        if judge:
            _judge(draft, shown, file)
        draft.replace(path)
        if judge:
            _seen[_identity(path, path.stat())] = file.sha256
    except OSError as error:
        raise ColdStoreUnreachable(f"{shown} cannot be copied to {path.parent}: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)


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
