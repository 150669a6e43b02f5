"""What a cold folder says of itself: ledgers, weeks and files, without a database.

Each file's metadata name its ledger and week, and its own name is the beginning of its SHA-256.
"""

# pyarrow has no type stubs.
# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import file_digest
from itertools import pairwise
from pathlib import PurePosixPath
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq

from ledger_pipeline.cold.files import folders, found_file, unnamed_files
from ledger_pipeline.cold.manifest import ColdFile, committed_weeks
from ledger_pipeline.errors import ColdStoreDamaged
from ledger_pipeline.events.schema import SCHEMA_VERSION
from ledger_pipeline.hot.database import Connection, translated
from ledger_pipeline.settings import Bucket, ColdStore

_SUFFIX = ".parquet"
_NAMED = 3


@dataclass(frozen=True)
class FolderWeek:
    """A week's files in the order of their executions."""

    week: date
    files: tuple[ColdFile, ...]


def ledgers_in(cold_dir: ColdStore) -> list[UUID]:
    """The instance ids of the ledgers that have files in a folder."""
    found: list[UUID] = []
    for name in folders(cold_dir):
        try:
            instance = UUID(name)
        except ValueError:
            continue
        if any(_week_of(file.name) for file in unnamed_files(cold_dir, instance, ())):
            found.append(instance)
    return found


def weeks_in(cold_dir: ColdStore, instance_id: UUID) -> list[FolderWeek]:
    """A ledger's weeks as their files say, oldest first; the files' contents are not judged yet.

    Raises ColdStoreDamaged for a file that isn't what its name and place say, and for two that hold the same.
    """
    by_week: dict[date, list[ColdFile]] = {}
    for file in unnamed_files(cold_dir, instance_id, ()):
        week = _week_of(file.name)
        if week is not None and file.upload is None:
            by_week.setdefault(week, []).append(_described(cold_dir, file.name, file.bytes, instance_id, week))
    return [FolderWeek(week, _in_order(week, files)) for week, files in sorted(by_week.items())]


def strays(connection: Connection, cold_dir: ColdStore, *, missing: bool = True) -> list[str]:
    """Why a database and a folder do not belong together, a sentence each; none when they do, or nothing was rolled.

    Only names are looked at: that the files are what was rolled is for `verify`, which names those that are `missing`
    one by one.
    """
    with translated():
        archived = committed_weeks(connection)
        rows = connection.execute("SELECT week FROM archive_manifest").fetchall()
        state = connection.execute("SELECT instance_id FROM ledger_state").fetchone()
    assert state is not None
    known, instance = {row["week"] for row in rows}, state["instance_id"]
    kept = [week for week in archived if week.removal is None]
    instances = {instance, *(week.instance_id for week in archived)}
    there = {file.name for each in instances for file in unnamed_files(cold_dir, each, ()) if file.upload is None}
    problems: list[str] = []
    others = ledgers_in(cold_dir) if kept and not there and (isinstance(cold_dir, Bucket) or cold_dir.is_dir()) else []
    lacking = [week.week for week in kept if any(file.name not in there for file in week.named_files)]
    if others:
        problems.append(
            f"the cold folder {cold_dir} is not this ledger's ({instance}): it holds files of"
            f" {', '.join(map(str, others))}"
        )
    elif lacking and missing:
        problems.append(f"the cold folder {cold_dir} lacks files of {_weeks(lacking)}: restore them from a copy")
    # A copy reads the original's files; what the original rolls from then on is none of its business.
    own = [name for name in there if PurePosixPath(name).parts[0] == str(instance)]
    newer = sorted({week for name in own if (week := _week_of(name)) is not None and week not in known})
    if newer:
        problems.append(
            f"the database is older than the cold folder {cold_dir}, which holds {_weeks(newer)} that the database"
            " never rolled: it was restored from an older copy"
        )
    return problems


def _weeks(weeks: Sequence[date]) -> str:
    more = f" and {len(weeks) - _NAMED} more" if len(weeks) > _NAMED else ""
    return ("the week " if len(weeks) == 1 else "the weeks ") + ", ".join(map(str, weeks[:_NAMED])) + more


def _week_of(name: str) -> date | None:
    """The week in whose folder a Parquet file lies; None for anything else."""
    path = PurePosixPath(name)
    folder = path.parent.name
    if path.suffix != _SUFFIX or path.name.startswith(".") or not folder.startswith("week="):
        return None
    try:
        return date.fromisoformat(folder.removeprefix("week="))
    except ValueError:
        return None


def _described(cold_dir: ColdStore, name: str, size: int, instance_id: UUID, week: date) -> ColdFile:
    path = found_file(cold_dir, name, size)
    try:
        with pq.ParquetFile(path) as opened:
            metadata = {key.decode(): value.decode() for key, value in (opened.schema_arrow.metadata or {}).items()}
            events = opened.metadata.num_rows
            ids = opened.read(columns=["execution_id"]).column("execution_id")
    except (OSError, pa.ArrowException, KeyError) as error:
        raise ColdStoreDamaged(f"cold file {path} cannot be read: {error}") from None
    expected = {
        "ledger.schema_version": str(SCHEMA_VERSION),
        "ledger.instance_id": str(instance_id),
        "ledger.week": str(week),
    }
    for key, value in expected.items():
        if metadata.get(key) != value:
            found = metadata.get(key)
            raise ColdStoreDamaged(f"cold file {path}: its {key} is {found!r}, not {value!r}: not of this place")
    if not events:
        raise ColdStoreDamaged(f"cold file {path} holds no event")
    with path.open("rb") as content:
        digest = file_digest(content, "sha256").hexdigest()
    if path.stem != digest[: len(path.stem)] or not path.stem:
        raise ColdStoreDamaged(f"cold file {path} was altered: its SHA-256 is {digest}, which its name is no part of")
    return ColdFile(name, digest, size, events, ids[0].as_py(), ids[-1].as_py())


def _in_order(week: date, files: list[ColdFile]) -> tuple[ColdFile, ...]:
    ordered = tuple(sorted(files, key=lambda file: (file.first_execution_id, file.last_execution_id)))
    for before, after in pairwise(ordered):
        if after.first_execution_id < before.last_execution_id:
            raise ColdStoreDamaged(
                f"week {week}: the files {before.name} and {after.name} hold the same executions: one of them was left"
                " by an interrupted roll, or comes from another copy; move it away"
            )
    return ordered
