"""Copies of artifacts: named by their content, written once, verified on reading."""

import hashlib
import io
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger_pipeline.errors import ArtifactDamaged, InvalidInput, InvalidReference, ServerUnavailable
from ledger_pipeline.hot.artifacts import artifact_to_record, open_artifact, store_artifact

REPORT = b"%PDF-1.7 savings: 309 USD"
SHA256 = hashlib.sha256(REPORT).hexdigest()

pytestmark = pytest.mark.mission("B1")


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_file_is_copied_under_the_hash_of_its_bytes(tmp_path: Path) -> None:
    source = tmp_path / "report.pdf"
    source.write_bytes(REPORT)

    stored = store_artifact(tmp_path / "artifacts", source, "report.pdf")
    source.write_bytes(b"changed later")

    assert (stored.sha256, stored.size_bytes, stored.content_type) == (SHA256, len(REPORT), "application/pdf")
    assert stored.uri == (tmp_path / "artifacts" / SHA256[:2] / SHA256).as_uri()
    with open_artifact(tmp_path / "artifacts", stored.uri, stored.sha256) as stream:
        assert stream.read() == REPORT


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200))
def test_whatever_is_stored_is_read_back(tmp_path: Path, content: bytes) -> None:
    stored = store_artifact(tmp_path, io.BytesIO(content), "data")
    with open_artifact(tmp_path, stored.uri, stored.sha256) as stream:
        assert stream.read() == content
    assert stored.size_bytes == len(content)


def test_the_same_content_is_kept_once(tmp_path: Path) -> None:
    first = store_artifact(tmp_path, REPORT, "a.pdf")
    inode = files(tmp_path)[0].stat().st_ino

    again = store_artifact(tmp_path, REPORT, "b.json", "text/plain")

    assert (again.uri, again.sha256, again.content_type) == (first.uri, first.sha256, "text/plain")
    assert [path.stat().st_ino for path in files(tmp_path)] == [inode]


def refuse(folder: Path, error: type[Exception] = InvalidReference, meanwhile: Callable[[], object] = str) -> None:
    """Stores the report for an event that is not stored."""
    with suppress(error), artifact_to_record(folder, REPORT, "a.pdf"):
        meanwhile()
        raise error("no event")


def test_a_copy_that_no_event_came_to_name_is_removed(tmp_path: Path) -> None:
    refuse(tmp_path)
    assert files(tmp_path) == []


def test_a_copy_of_a_refused_event_stays_where_it_is_somebody_elses_too(tmp_path: Path) -> None:
    refuse(tmp_path, meanwhile=lambda: store_artifact(tmp_path, REPORT, "other.pdf"))
    assert len(files(tmp_path)) == 1
    refuse(tmp_path)  # whoever did not make it never removes it
    assert len(files(tmp_path)) == 1


def test_a_copy_stays_while_it_is_not_known_whether_its_event_was_stored(tmp_path: Path) -> None:
    refuse(tmp_path, ServerUnavailable)
    assert len(files(tmp_path)) == 1


class Broken(io.RawIOBase):
    """A stream that breaks after its first bytes."""

    def __init__(self) -> None:
        self._given = False

    def read(self, size: int = -1) -> bytes:
        if self._given:
            raise ConnectionError("the other side has gone")
        self._given = True
        return b"half"


def test_a_broken_copy_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConnectionError):
        store_artifact(tmp_path, Broken(), "report.pdf")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidInput, match=r"source: .*missing.pdf can't be read: No such file"):
        store_artifact(tmp_path, tmp_path / "missing.pdf", "report.pdf")
    assert files(tmp_path) == []


def test_an_altered_or_missing_copy_is_an_error(tmp_path: Path) -> None:
    stored = store_artifact(tmp_path, REPORT, "report.pdf")
    place = files(tmp_path)[0]
    place.chmod(0o600)
    place.write_bytes(b"forged")

    with pytest.raises(ArtifactDamaged, match=f"but {SHA256} was recorded"):
        open_artifact(tmp_path, stored.uri, stored.sha256)
    with pytest.raises(ArtifactDamaged, match="was recorded"):
        store_artifact(tmp_path, REPORT, "report.pdf")
    assert place.read_bytes() == b"forged"
    place.unlink()
    with pytest.raises(ArtifactDamaged, match="can't be read: No such file"):
        open_artifact(tmp_path, stored.uri, stored.sha256)


def test_a_copy_is_found_when_the_home_has_moved(tmp_path: Path) -> None:
    stored = store_artifact(tmp_path / "old", REPORT, "report.pdf")
    shutil.move(tmp_path / "old", tmp_path / "new")

    with open_artifact(tmp_path / "new", stored.uri, stored.sha256) as stream:
        assert stream.read() == REPORT


def test_an_object_store_is_read_with_its_own_tools(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"uri: s3://bucket/report\.pdf is not on this machine"):
        open_artifact(tmp_path, "s3://bucket/report.pdf", SHA256)
