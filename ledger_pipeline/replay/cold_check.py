"""Checks the files of rolled weeks: that each is the one that was written, and that its events are the week's."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ledger_pipeline.cold.files import check_file
from ledger_pipeline.cold.leaf_sql import leaf_expression
from ledger_pipeline.cold.manifest import RolledWeekRow
from ledger_pipeline.cold.merkle import merkle_root
from ledger_pipeline.errors import ColdStoreDamaged
from ledger_pipeline.replay.foreign_columns import foreign_expression
from ledger_pipeline.replay.verification import Problem

_SEGMENTS = (
    (Path(__file__).parent / "sql" / "segments_cold.sql")
    .read_text()
    .replace("/*leaf*/", leaf_expression())
    .replace("/*foreign*/", foreign_expression())
)
_FEED = "INSERT INTO feed SELECT epoch, tx, execution_id, sequence, leaf FROM read_parquet($files)"


def _leaves(paths: list[Path]) -> Iterator[bytes]:
    for path in paths:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=["leaf"]):
                yield from batch.column("leaf").to_pylist()


def read_week(
    work: duckdb.DuckDBPyConnection, cold_dir: Path, week: RolledWeekRow, *, for_checkpoints: bool
) -> tuple[bool, list[Problem]]:
    """Adds the week's segments to `work`; answers whether they could be read, and what is wrong with the files."""
    problems: list[Problem] = []
    paths = [cold_dir / file.name for file in week.files]
    for file in week.files:
        try:
            check_file(cold_dir, file, again=True)
        except ColdStoreDamaged as damage:
            problems.append(Problem(str(damage), file=file.name))
    names = [str(path) for path in paths]
    first = week.files[0].name if week.files else None
    try:
        work.execute(_SEGMENTS, {"files": names, "week": week.week})
        if for_checkpoints:
            work.execute(_FEED, {"files": names})
        leaves = list(_leaves(paths))
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        if not problems:
            problems.append(Problem(f"week {week.week}: can't be read: {str(error).splitlines()[0]}", file=first))
        return False, problems
    if len(leaves) != week.events:
        what = f"the manifest says {week.events} events, its files hold {len(leaves)}"
        problems.append(Problem(f"week {week.week}: {what}", file=first))
    elif merkle_root(leaves) != week.root:
        problems.append(Problem(f"week {week.week}: its events have another root than the manifest says", file=first))
    return True, problems
