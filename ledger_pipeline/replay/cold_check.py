"""Checks the files of rolled weeks: that each is the one that was written, and that its events are the week's."""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ledger_pipeline.cold.files import check_file, path_of
from ledger_pipeline.cold.foreign_columns import foreign_expression
from ledger_pipeline.cold.leaf_sql import leaf_expression
from ledger_pipeline.cold.manifest import RolledWeekRow
from ledger_pipeline.cold.merkle import MerkleTree
from ledger_pipeline.errors import ColdStoreDamaged
from ledger_pipeline.replay.hashers import Hashers
from ledger_pipeline.replay.kept_work import KeptWork
from ledger_pipeline.replay.sound_events import SoundWeek
from ledger_pipeline.replay.verification import Problem
from ledger_pipeline.replay.work import Work
from ledger_pipeline.settings import ColdStore

_SEGMENTS = (
    (Path(__file__).parent / "sql" / "segments_cold.sql")
    .read_text()
    .replace("/*leaf*/", leaf_expression())
    .replace("/*foreign*/", foreign_expression())
)
_GROUP_EVENTS = 65_536
_FEED = """
    INSERT INTO feed SELECT epoch, tx, execution_id, sequence, unhex(sha256('\\x00'::BLOB || coalesce(leaf, ''::BLOB)))
    FROM read_parquet($names, hive_partitioning = false)
"""


def _groups(weeks: Iterable[RolledWeekRow]) -> Iterator[list[RolledWeekRow]]:
    """Weeks that are read by one statement: its expressions take longer to plan than a short week takes to hash."""
    group: list[RolledWeekRow] = []
    events = 0
    for week in weeks:
        group.append(week)
        events += week.events
        if events >= _GROUP_EVENTS:
            yield group
            group, events = [], 0
    if group:
        yield group


class AskedWeeks(NamedTuple):
    """Weeks that are being hashed, and under which name what is found is written; None: by a run before this one."""

    weeks: list[RolledWeekRow]
    name: Path
    sound: Future[bool] | None


def ask_cold(work: Work, hashers: Hashers, cold_dir: ColdStore, weeks: Iterable[RolledWeekRow]) -> list[AskedWeeks]:
    """Has the weeks hashed, the largest first: so the last processes to end end at about the same time."""

    kept = work.kept

    def ask(group: list[RolledWeekRow]) -> AskedWeeks:
        name = work.folder / f"cold-{group[0].week}"
        if kept is not None and kept.has(cold_dir, group, name):
            return AskedWeeks(group, name, None)
        weeks = [SoundWeek(week.week, week.events, week.root or b"", week.files) for week in group]
        sound = hashers.read_weeks(cold_dir, weeks, name)
        if kept is not None:
            sound.add_done_callback(partial(_keep, kept, group, name))
        return AskedWeeks(group, name, sound)

    return [ask(group) for group in sorted(_groups(weeks), key=lambda group: -sum(week.events for week in group))]


def collect_cold(work: Work, cold_dir: ColdStore, asked: Iterable[AskedWeeks]) -> tuple[bool, list[Problem]]:
    """Adds the weeks' segments and events to `work`; whether all could be read, and what is wrong with the files."""
    complete = True
    problems: list[Problem] = []
    for weeks, name, sound in asked:
        if sound is None:
            work.resumed_events += sum(week.events for week in weeks)
        if sound is None or sound.result():
            work.add(name)
        else:
            read, found = _locate(work, cold_dir, weeks)
            complete &= read
            problems += found
        work.tell()
    return complete, problems


def _keep(kept: KeptWork, weeks: list[RolledWeekRow], name: Path, done: Future[bool]) -> None:
    if not done.cancelled() and done.exception() is None and done.result():
        kept.keep(weeks, name)


def _locate(work: Work, cold_dir: ColdStore, weeks: list[RolledWeekRow]) -> tuple[bool, list[Problem]]:
    """The same of weeks in which something is wrong: their faults come to stand in the segments."""
    problems = [problem for week in weeks for problem in _file_problems(cold_dir, week)]
    named = {str(path_of(cold_dir, file.name)): week for week in weeks for file in week.files}
    database = work.database
    database.execute("DELETE FROM files")
    database.executemany("INSERT INTO files VALUES (?, ?)", [(name, week.week) for name, week in named.items()])
    try:
        database.execute("BEGIN")
        database.execute(_SEGMENTS, {"names": list(named)})
        if work.for_checkpoints:
            database.execute(_FEED, {"names": list(named)})
        roots = [problem for week in weeks for problem in _root_problems(cold_dir, week)]
        database.execute("COMMIT")
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        database.execute("ROLLBACK")
        if len(weeks) > 1:
            # One of them is damaged: the others are read all the same.
            alone = [_locate(work, cold_dir, [week]) for week in weeks]
            return all(read for read, _ in alone), [problem for _, found in alone for problem in found]
        if not problems:
            what = f"week {weeks[0].week}: can't be read: {str(error).splitlines()[0]}"
            problems.append(Problem(what, file=_first_file(weeks[0])))
        return False, problems
    return True, problems + roots


def _file_problems(cold_dir: ColdStore, week: RolledWeekRow) -> list[Problem]:
    problems: list[Problem] = []
    for file in week.files:
        try:
            check_file(cold_dir, file, again=True)
        except ColdStoreDamaged as damage:
            problems.append(Problem(str(damage), file=file.name))
    return problems


def _root_problems(cold_dir: ColdStore, week: RolledWeekRow) -> list[Problem]:
    tree = MerkleTree()
    for file in week.files:
        with pq.ParquetFile(path_of(cold_dir, file.name)) as opened:
            for batch in opened.iter_batches(columns=["leaf"]):
                tree.extend(batch.column("leaf").to_pylist())
    if tree.size != week.events:
        what = f"the manifest says {week.events} events, its files hold {tree.size}"
    elif tree.root() != week.root:
        what = "its events have another root than the manifest says"
    else:
        return []
    return [Problem(f"week {week.week}: {what}", file=_first_file(week))]


def _first_file(week: RolledWeekRow) -> str | None:
    return week.files[0].name if week.files else None
