"""Checks the files of rolled weeks: that each is the one that was written, and that its events are the week's."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ledger_pipeline.cold.files import check_file, path_of
from ledger_pipeline.cold.leaf_sql import leaf_expression
from ledger_pipeline.cold.manifest import RolledWeekRow
from ledger_pipeline.cold.merkle import MerkleTree
from ledger_pipeline.errors import ColdStoreDamaged
from ledger_pipeline.replay.foreign_columns import foreign_expression
from ledger_pipeline.replay.verification import Problem
from ledger_pipeline.settings import ColdStore

_SEGMENTS = (
    (Path(__file__).parent / "sql" / "segments_cold.sql")
    .read_text()
    .replace("/*leaf*/", leaf_expression())
    .replace("/*foreign*/", foreign_expression())
)
_BATCH_EVENTS = 1_000_000
_FEED = """
    INSERT INTO feed SELECT epoch, tx, execution_id, sequence, leaf
    FROM read_parquet($names, hive_partitioning = false)
"""


def batches(weeks: Iterable[RolledWeekRow]) -> Iterator[list[RolledWeekRow]]:
    """Weeks that are read by one statement: its expressions take longer to plan than a short week takes to hash."""
    batch: list[RolledWeekRow] = []
    events = 0
    for week in weeks:
        batch.append(week)
        events += week.events
        if events >= _BATCH_EVENTS:
            yield batch
            batch, events = [], 0
    if batch:
        yield batch


def read_weeks(
    work: duckdb.DuckDBPyConnection, cold_dir: ColdStore, weeks: list[RolledWeekRow], *, for_checkpoints: bool
) -> tuple[bool, list[Problem]]:
    """Adds the weeks' segments to `work`; answers whether all could be read, and what is wrong with the files."""
    problems = [problem for week in weeks for problem in _file_problems(cold_dir, week)]
    named = {str(path_of(cold_dir, file.name)): week for week in weeks for file in week.files}
    work.execute("DELETE FROM files")
    work.executemany("INSERT INTO files VALUES (?, ?)", [(name, week.week) for name, week in named.items()])
    try:
        # DuckDB lets go of the interpreter while it hashes rows: the roots are computed beside it.
        with ThreadPoolExecutor(1, "roots") as aside:
            of_weeks = [aside.submit(_root_problems, cold_dir, week) for week in weeks]
            work.execute("BEGIN")
            work.execute(_SEGMENTS, {"names": list(named)})
            if for_checkpoints:
                work.execute(_FEED, {"names": list(named)})
            roots = [problem for found in of_weeks for problem in found.result()]
        work.execute("COMMIT")
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        work.execute("ROLLBACK")
        if len(weeks) > 1:
            # One of them is damaged: the others are read all the same.
            alone = [read_weeks(work, cold_dir, [week], for_checkpoints=for_checkpoints) for week in weeks]
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
