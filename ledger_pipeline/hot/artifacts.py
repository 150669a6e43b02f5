"""Copies of artifacts under the home: named by the SHA-256 of their bytes, written once, verified when read."""

import fcntl
import hashlib
import io
import mimetypes
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit
from urllib.request import url2pathname

from ledger_pipeline.arguments import shown
from ledger_pipeline.durable import sync
from ledger_pipeline.errors import ArtifactDamaged, InvalidInput, NotFound, PermissionDenied

_CHUNK = 1 << 20
_PARTIAL = ".partial-"


@dataclass(frozen=True)
class StoredArtifact:
    """Where an artifact lies and what it holds, as far as that is known: of a copy, all of it."""

    uri: str
    size_bytes: int | None
    sha256: str | None
    content_type: str | None


def content_type_of(name: str) -> str | None:
    """The content type that a file's name suggests; None when it suggests none."""
    return mimetypes.guess_type(name, strict=False)[0]


def check_source(source: object) -> None:
    """Raises InvalidInput for what no bytes can be copied from."""
    if not isinstance(source, (bytes, Path)) and not callable(getattr(source, "read", None)):
        raise InvalidInput(f"source: is {shown(source)}; allowed: bytes, a Path or a binary stream")


def _place(folder: Path, sha256: str) -> Path:
    return folder / sha256[:2] / sha256


@contextmanager
def _opened(source: Path | bytes | BinaryIO) -> Generator[BinaryIO]:
    if isinstance(source, bytes):
        yield io.BytesIO(source)
    elif isinstance(source, Path):
        try:
            stream = source.open("rb")
        except OSError as error:
            raise InvalidInput(f"source: {source} can't be read: {error.strerror}") from None
        with stream:
            yield stream
    else:
        yield source


def _verify(stream: io.BufferedReader, path: Path, sha256: str) -> None:
    found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != sha256:
        raise ArtifactDamaged(f"artifact {path}: its bytes have SHA-256 {found}, but {sha256} was recorded")


def store_artifact(
    folder: Path, source: Path | bytes | BinaryIO, name: str, content_type: str | None = None
) -> StoredArtifact:
    """Copies bytes, a file or a stream into the folder; the same content is kept once and never overwritten.

    Whoever reads the folder sees a whole file or none, also after a crash. Raises InvalidInput for a source that can't
    be read, ArtifactDamaged when the folder's copy of this content was altered.
    """
    return _stored(folder, source, name, content_type)[0]


@contextmanager
def artifact_to_record(
    folder: Path, source: Path | bytes | BinaryIO, name: str, content_type: str | None = None
) -> Generator[StoredArtifact]:
    """A copy as of `store_artifact` that is to be named by an event: when that is refused, what is nobody's goes.

    Where it isn't known whether the event was stored, as after a broken connection, the copy stays.
    """
    copy, made = _stored(folder, source, name, content_type)
    try:
        yield copy
    except (InvalidInput, NotFound, PermissionDenied):
        if made is not None and copy.sha256 is not None:
            _remove_unless_shared(_place(folder, copy.sha256), made)
        raise


def _share(place: Path, sha256: str) -> bool:
    """Marks the copy that is there as somebody else's too; False when it was removed meanwhile."""
    try:
        with place.open("rb") as kept:
            fcntl.flock(kept, fcntl.LOCK_SH)
            if os.fstat(kept.fileno()).st_nlink == 0:
                return False
            _verify(kept, place, sha256)
            os.utime(kept.fileno())
            return True
    except FileNotFoundError:
        return False


def _remove_unless_shared(place: Path, made: int) -> None:
    """Removes a copy that nobody else has stored since it was made: its time of change would be another."""
    with place.open("rb") as kept:
        fcntl.flock(kept, fcntl.LOCK_EX)
        if os.fstat(kept.fileno()).st_mtime_ns == made:
            place.unlink()


def _stored(
    folder: Path, source: Path | bytes | BinaryIO, name: str, content_type: str | None
) -> tuple[StoredArtifact, int | None]:
    """The copy, and its time of change when this call has made it."""
    folder.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    # In the same file system as its final place, so that the link below is atomic.
    descriptor, partial = tempfile.mkstemp(prefix=_PARTIAL, dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as out, _opened(source) as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                out.write(chunk)
            out.flush()
            os.fchmod(out.fileno(), 0o400)
            os.fsync(out.fileno())
        sha256 = digest.hexdigest()
        place = _place(folder, sha256)
        if not place.parent.is_dir():
            place.parent.mkdir(exist_ok=True)
            sync(folder)
        made = Path(partial).stat().st_mtime_ns
        while True:
            try:
                # A link, not a rename: it refuses to take the place of a file that is there.
                os.link(partial, place)
                sync(place.parent)
                break
            except FileExistsError:
                if _share(place, sha256):
                    made = None
                    break
    finally:
        with suppress(FileNotFoundError):
            Path(partial).unlink()
    return StoredArtifact(place.absolute().as_uri(), size, sha256, content_type or content_type_of(name)), made


def open_artifact(folder: Path, uri: str, sha256: str | None) -> io.BufferedReader:
    """The artifact's bytes, verified as a whole before the first is given.

    A copy is found by its hash, wherever the ledger's home lies now; otherwise the file that the URI names. Raises
    ArtifactDamaged for a missing or altered file, InvalidInput for a URI that is not a local file's.
    """
    parts = urlsplit(uri)
    if parts.scheme not in ("file", ""):
        raise InvalidInput(f"uri: {uri} is not on this machine: read it with the tools of its store")
    path = Path(url2pathname(parts.path))
    if sha256 is not None and (copy := _place(folder, sha256)).exists():
        path = copy
    try:
        stream = path.open("rb")
    except OSError as error:
        raise ArtifactDamaged(f"artifact {path}: can't be read: {error.strerror}") from None
    try:
        if sha256 is not None:
            _verify(stream, path, sha256)
            stream.seek(0)
    except BaseException:
        stream.close()
        raise
    return stream
